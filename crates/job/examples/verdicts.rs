//! Reads JSON strings (YAML texts) line by line, prints the verdicts.
use std::io::{BufRead, Write};
fn main() {
    let stdin = std::io::stdin();
    let mut out = std::io::stdout().lock();
    for line in stdin.lock().lines() {
        let text: String = serde_json::from_str(&line.unwrap()).unwrap();
        let v: Vec<Option<String>> = [basalt_job::Reading::Strict, basalt_job::Reading::Lax]
            .into_iter()
            .map(|reading| {
                let mut d = basalt_yaml::Diagnostics::new();
                let o = basalt_job::Options {
                    reading,
                    extra_context: vec![],
                };
                let j = basalt_job::read_with("j", &text, &o, &mut d);
                match j {
                    Some(_) => None,
                    None => Some(
                        d.sorted()
                            .iter()
                            .filter(|d| d.severity == basalt_yaml::Severity::Error)
                            .map(|d| format!("{}:{} {}", d.span.line, d.span.column, d.message))
                            .collect::<Vec<_>>()
                            .join(" | "),
                    ),
                }
            })
            .collect();
        writeln!(out, "{}", serde_json::to_string(&v).unwrap()).unwrap();
        out.flush().unwrap();
    }
}
