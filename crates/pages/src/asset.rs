//! The files that pages load: built by Vite, compiled in.

/// A file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asset {
    /// Its name below `/assets/`.
    pub name: &'static str,
    /// Its content type.
    pub content_type: &'static str,
    /// Its entity tag, quoted as in the header.
    pub etag: &'static str,
    /// Its name holds a hash of its content: it may be kept for ever.
    pub is_immutable: bool,
    /// The file itself.
    pub bytes: &'static [u8],
}

include!(concat!(env!("OUT_DIR"), "/assets.rs"));

impl Asset {
    /// The value of its `Cache-Control`.
    pub fn cache_control(&self) -> &'static str {
        match self.is_immutable {
            true => "public, max-age=31536000, immutable",
            false => "public, max-age=3600",
        }
    }
}

/// The file of a name below `/assets/`.
pub fn find(name: &str) -> Option<&'static Asset> {
    FILES.iter().find(|asset| asset.name == name)
}

/// All of them.
pub fn all() -> impl Iterator<Item = &'static Asset> {
    FILES.iter()
}

/// The content security policy of every page: nothing inline, nothing from elsewhere.
pub const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
     img-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pages_script_and_style_are_there_under_names_of_their_content() {
        for address in [SCRIPT, STYLE] {
            let asset = find(address.strip_prefix("/assets/").unwrap()).unwrap();
            assert!(asset.is_immutable, "{address}");
            assert!(!asset.bytes.is_empty(), "{address}");
        }
        assert!(!find("favicon.svg").unwrap().is_immutable);
        assert_eq!(find("manifest.json"), None);
    }

    #[test]
    fn no_asset_asks_for_anything_from_elsewhere() {
        for asset in all() {
            let text = String::from_utf8_lossy(asset.bytes);
            // The one address is a name: SVG's namespace.
            let text = text.replace("http://www.w3.org/", "");
            assert!(
                !text.contains("http://") && !text.contains("https://"),
                "{}",
                asset.name
            );
        }
    }
}
