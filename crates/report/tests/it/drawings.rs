use basalt_report::{Style, histogram, identity, overlay, table};

use crate::{four_cpus, idle, loaded, stock};

const PLAIN: Style = Style {
    color: false,
    width: 80,
};
const COLORED: Style = Style {
    color: true,
    width: 80,
};

fn without_escapes(text: &str) -> String {
    let mut plain = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('\u{1b}') {
        plain.push_str(&rest[..at]);
        let end = rest[at..].find('m').expect("a colour ends with m");
        rest = &rest[at + end + 1..];
    }
    plain + rest
}

#[test]
fn the_table_shows_phases_why_they_did_not_pass_and_the_timebase() {
    let records = [idle(), loaded(), stock(), four_cpus()];
    insta::assert_snapshot!("table", table(&records, PLAIN));
    insta::assert_snapshot!(
        "table-wide",
        table(
            &records,
            Style {
                width: 120,
                ..PLAIN
            }
        )
    );
    insta::assert_snapshot!(
        "table-narrow",
        table(&records, Style { width: 50, ..PLAIN })
    );
}

#[test]
fn a_histogram_has_axes_and_a_limit() {
    insta::assert_snapshot!("histogram-idle", histogram(&idle(), PLAIN, 12));
    insta::assert_snapshot!("histogram-overflow", histogram(&loaded(), PLAIN, 12));
}

#[test]
fn several_cpus_are_summed_and_shown_one_by_one() {
    insta::assert_snapshot!("histogram-cpus", histogram(&four_cpus(), PLAIN, 12));
}

#[test]
fn two_histograms_lie_over_each_other_with_and_without_colours() {
    let (first, second) = (("shift=3", &idle()), ("shift=5", &loaded()));
    insta::assert_snapshot!("overlay", overlay(first, second, PLAIN, 12));
    let colored = overlay(first, second, COLORED, 12);
    assert!(colored.contains("\u{1b}["));
    insta::assert_snapshot!("overlay-colored", without_escapes(&colored));
}

#[test]
fn the_identity_names_both_kernels_the_evidence_and_the_clock() {
    insta::assert_snapshot!("identity", identity(&stock(), PLAIN));
}

#[test]
fn colours_change_nothing_but_colours() {
    let records = [idle(), loaded(), stock()];
    assert_eq!(
        without_escapes(&table(&records, COLORED)),
        table(&records, PLAIN)
    );
    for record in &records {
        let colored = histogram(record, COLORED, 8);
        assert_ne!(colored, histogram(record, PLAIN, 8));
        assert_eq!(without_escapes(&colored), histogram(record, PLAIN, 8));
    }
}

#[test]
fn no_line_is_wider_than_the_terminal() {
    for width in [60, 80, 132, 200] {
        let style = Style {
            color: false,
            width,
        };
        for record in [idle(), loaded(), four_cpus()] {
            for line in histogram(&record, style, 10).lines().skip(1) {
                assert!(line.chars().count() <= width, "{width}: {line}");
            }
        }
    }
}

#[test]
fn a_terminal_of_no_size_still_gets_a_drawing() {
    let style = Style {
        color: false,
        width: 0,
    };
    assert!(histogram(&four_cpus(), style, 0).contains('█'));
    assert!(overlay(("a", &idle()), ("b", &loaded()), style, 0).contains('░'));
    assert!(table(&[idle()], style).contains("pass"));
}

#[test]
fn a_board_cannot_write_to_the_terminal_through_a_record() {
    let mut record = stock();
    record.reason = "a\u{1b}]0;title\u{7}".into();
    record.environment.timebase = Some("x\u{1b}[2J".into());
    record.environment.banner = Some("Linux\u{1b}[H version".into());
    let shown = [
        table(std::slice::from_ref(&record), PLAIN),
        histogram(&record, PLAIN, 8),
        overlay(("a\u{1b}", &record), ("b", &record), PLAIN, 8),
        identity(&record, PLAIN),
    ];
    for text in shown {
        assert!(
            !text.chars().any(|one| one.is_control() && one != '\n'),
            "{text:?}"
        );
    }
}

#[test]
fn a_phase_without_data_is_said_and_not_drawn() {
    let mut record = stock();
    record.threads.clear();
    record.totals = None;
    assert!(histogram(&record, PLAIN, 8).contains("(no histogram)"));
    assert!(table(&[record], PLAIN).contains(" – "));
}
