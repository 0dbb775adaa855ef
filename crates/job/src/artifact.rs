//! A file that a job names by URL.

use basalt_model::Sha256;
use basalt_yaml::{Diagnostics, Field, MapReader, Node};

use crate::definition::{Artifact, Checksum, Compression, Spanned};
use crate::values::unsupported;

/// LAVA's schemes (facts: LAVA 2026.07).
const LAVA_SCHEMES: &[&str] = &["scp", "rclone", "downloads", "lxc"];
const SCHEMES: &str = "http, https, file";

/// Basalt's own: a file that comes with the job. Its name may go where the files of all jobs lie.
pub(crate) const UPLOAD: &str = "upload:";

/// The names of all files that must come with a job, in the order in which they are named.
pub(crate) fn uploads(node: &Node, found: &mut Vec<Spanned<String>>) {
    for item in node.as_seq().unwrap_or_default() {
        uploads(item, found);
    }
    for (key, value) in node.as_map().unwrap_or_default() {
        let name = value
            .as_str()
            .filter(|_| matches!(key.as_str(), Some("url" | "repository")))
            .and_then(|url| url.strip_prefix(UPLOAD));
        match name {
            Some(name) => found.push(Spanned {
                value: name.to_owned(),
                span: value.span,
            }),
            None => uploads(value, found),
        }
    }
}

/// Whether a file may come under this name: it must be no path.
pub(crate) fn is_upload_name(name: &str) -> bool {
    const LONGEST: usize = 200;
    !name.is_empty()
        && name.len() <= LONGEST
        && !name.starts_with('.')
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_.+".contains(&byte))
}

/// Reads the keys of a URL object; the caller reads its own keys before and finishes the reader.
pub(crate) fn read(reader: &mut MapReader<'_>) -> Option<Artifact> {
    let url = url(reader.required("url"));
    let compression = reader.optional("compression").word(&[
        ("gz", Compression::Gz),
        ("xz", Compression::Xz),
        ("bz2", Compression::Bz2),
        ("zip", Compression::Zip),
        ("zstd", Compression::Zstd),
    ]);
    let archive_tar = reader
        .optional("archive")
        .word(&[("tar", true)])
        .unwrap_or(false);
    let headers = headers(reader.optional("headers"));
    reader.at_most_one(&["md5sum", "sha256sum", "sha512sum"]);
    let md5 = digest(reader.optional("md5sum"), "md5sum", 32).map(Checksum::Md5);
    let sha256 = digest(reader.optional("sha256sum"), "sha256sum", 64)
        .and_then(|text| text.parse::<Sha256>().ok())
        .map(Checksum::Sha256);
    let sha512 = digest(reader.optional("sha512sum"), "sha512sum", 128).map(Checksum::Sha512);
    // Whether a file may come from a cache decides the host, by checksum.
    reader.ignore("use_cache");
    for key in [
        "format",
        "overlays",
        "partition",
        "sparse",
        "overlay_backend",
        "apply-overlay",
    ] {
        unsupported(reader, key, None);
    }
    Some(Artifact {
        url: url?,
        compression,
        archive_tar,
        checksum: sha512.or(sha256).or(md5),
        headers,
    })
}

/// Opens a URL object.
pub(crate) fn open<'d>(
    node: &Node,
    key: &str,
    diagnostics: &'d mut Diagnostics,
) -> Option<MapReader<'d>> {
    if let Some(text) = node.as_str() {
        diagnostics
            .error(
                node.span,
                format!("`{key}` must be a mapping with `url`, found a text"),
            )
            .with_hint(format!("write `{key}: {{url: \"{text}\"}}`"));
        return None;
    }
    MapReader::new(node, format!("`{key}`"), diagnostics)
}

fn url(field: Field<'_>) -> Option<Spanned<String>> {
    let (node, diagnostics) = field.into_parts()?;
    let url = Field::new(&node, "`url`", diagnostics).string()?;
    let span = node.span;
    let scheme = url
        .split_once(':')
        .map(|(scheme, _)| scheme.to_ascii_lowercase());
    let rest = url.split_once("://").map(|(_, rest)| rest);
    match (scheme.as_deref(), rest) {
        (Some("http" | "https"), Some(rest)) if !rest.is_empty() && !rest.starts_with('/') => {}
        (Some("file"), Some(path)) if path.starts_with('/') => {}
        (Some("file"), _) => {
            diagnostics
                .error(span, "a `file:` URL must name an absolute path")
                .with_hint("such as `file:///srv/images/Image`");
            return None;
        }
        (Some("upload"), _) => {
            diagnostics
                .error(span, "files that come with a job are not supported yet")
                .with_hint(format!("supported: {SCHEMES}"));
            return None;
        }
        (Some(scheme), _) if LAVA_SCHEMES.contains(&scheme) => {
            diagnostics.error(
                span,
                format!("`{scheme}:` URLs are not supported yet; supported: {SCHEMES}"),
            );
            return None;
        }
        _ => {
            diagnostics
                .error(
                    span,
                    format!("`{}` is no URL that can be fetched", url.escape_debug()),
                )
                .with_hint(format!("supported: {SCHEMES}"));
            return None;
        }
    }
    if url.chars().any(|c| c.is_whitespace() || c.is_control()) {
        diagnostics
            .error(span, "a URL has no blanks in it")
            .with_hint("write `%20` for a blank");
        return None;
    }
    Some(Spanned { value: url, span })
}

fn headers(field: Field<'_>) -> Vec<(String, String)> {
    let Some((node, diagnostics)) = field.into_parts() else {
        return Vec::new();
    };
    let Some(entries) = node.as_map() else {
        let message = format!("`headers` must be a mapping, found {}", node.describe());
        diagnostics.error(node.span, message);
        return Vec::new();
    };
    let mut headers = Vec::with_capacity(entries.len());
    for (key, value) in entries {
        let name = key.source_text().unwrap_or_default();
        let text = Field::new(value, format!("the header `{name}`"), diagnostics).text();
        headers.extend(text.map(|text| (name.to_owned(), text)));
    }
    headers
}

/// Hexadecimal digits, in lower case.
fn digest(field: Field<'_>, key: &str, digits: usize) -> Option<String> {
    field.parsed(&format!("{digits} hexadecimal digits"), |text| {
        if text.len() == digits && text.bytes().all(|b| b.is_ascii_hexdigit()) {
            Ok(text.to_ascii_lowercase())
        } else {
            Err(format!(
                "this has {} characters; `{key}` is the digest of the file as it is downloaded",
                text.chars().count()
            ))
        }
    })
}
