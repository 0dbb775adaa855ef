//! Renders what it is told on standard input and answers on standard output, a JSON object a line:
//! the side of Basalt in comparisons with Jinja2 (`cargo xtask campaign templates`).
//!
//! A request is `{"text": TEMPLATE, "context": {...}}` or `{"directories": [...], "name": NAME,
//! "context": {...}}`; the answer `{"text": RENDERED}` or `{"error": MESSAGE}`. With `--time N`,
//! each is rendered N times and the answer holds the median in `seconds`.

use std::collections::HashMap;
use std::io::{BufRead, Write};
use std::time::Instant;

use basalt_jinja::Engine;
use serde_json::{Map, Value, json};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let times = std::env::args().skip_while(|word| word != "--time").nth(1);
    let times: usize = times.map_or(Ok(0), |times| times.parse())?;
    let mut engines: HashMap<String, Engine> = HashMap::new();
    let mut output = std::io::BufWriter::new(std::io::stdout().lock());
    for line in std::io::stdin().lock().lines() {
        let request: Value = serde_json::from_str(&line?)?;
        let directories = request["directories"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        let engine = engines
            .entry(json!(directories).to_string())
            .or_insert_with(|| {
                let directories: Vec<String> = directories
                    .iter()
                    .filter_map(|directory| directory.as_str().map(str::to_owned))
                    .collect();
                Engine::new(move |name| {
                    directories.iter().find_map(|directory| {
                        std::fs::read_to_string(format!("{directory}/{name}")).ok()
                    })
                })
            });
        let empty = Map::new();
        let context = request["context"].as_object().unwrap_or(&empty);
        let render = || match (request["text"].as_str(), request["name"].as_str()) {
            (Some(text), _) => engine.render_text("<string>", text, context),
            (None, name) => engine.render(name.unwrap_or_default(), context),
        };
        let mut answer = match render() {
            Ok(text) => json!({ "text": text }),
            Err(error) => json!({ "error": error.to_string() }),
        };
        let mut seconds: Vec<f64> = Vec::new();
        for _ in 0..times {
            let started = Instant::now();
            std::hint::black_box(render().is_ok());
            seconds.push(started.elapsed().as_secs_f64());
        }
        if !seconds.is_empty() {
            seconds.sort_by(f64::total_cmp);
            answer["seconds"] = json!(seconds[seconds.len() / 2]);
        }
        writeln!(output, "{answer}")?;
    }
    output.flush()?;
    Ok(())
}
