fn main() {
    for f in std::env::args().skip(1) {
        let text = std::fs::read_to_string(&f).unwrap();
        let best = |g: &dyn Fn()| {
            (0..300)
                .map(|_| {
                    let s = std::time::Instant::now();
                    g();
                    s.elapsed()
                })
                .min()
                .unwrap()
        };
        let parse = best(&|| {
            let mut d = basalt_yaml::Diagnostics::new();
            std::hint::black_box(basalt_yaml::parse_file("j", &text, &mut d));
        });
        let all = best(&|| {
            let mut d = basalt_yaml::Diagnostics::new();
            std::hint::black_box(basalt_job::read("j", &text, &mut d));
        });
        println!("{f}: parse {parse:?}, all {all:?}, {} bytes", text.len());
    }
}
