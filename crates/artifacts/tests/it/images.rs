use basalt_artifacts::kernel_identity;

use crate::compressed::pack;
use crate::server::noise;

const BANNER: &str = "Linux version 6.1.0-25-rt-arm64 (debian-kernel@lists.debian.org) (gcc-12 \
                      (Debian 12.2.0-14) 12.2.0, GNU ld 2.40) #1 SMP PREEMPT_RT Debian 6.1.106-3";

/// A raw image: decoys, the weak banner without a build number, then the banner at a place, as in
/// Debian's 6.1.
fn image(at: usize) -> Vec<u8> {
    let mut image = noise(at);
    image.extend_from_slice(b"Linux version %s (%s)\0Linux version ");
    image.extend_from_slice(b"\0");
    image.extend_from_slice(BANNER.replace("#1", "#").as_bytes());
    image.extend_from_slice(b"\n\0");
    image.extend_from_slice(BANNER.as_bytes());
    image.extend_from_slice(b"\n\0Linux version 9.9.9 (later)\n");
    image.extend_from_slice(&noise(1000));
    image
}

fn identity(image: &[u8]) -> Option<String> {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), image).unwrap();
    kernel_identity(file.path()).unwrap()
}

#[test]
fn a_raw_image_shows_its_first_whole_banner_wherever_it_lies() {
    // Across the ends of the pieces in which a file is read, too.
    for at in [0, 5000, (1 << 20) - 60, (1 << 20) - 100, (1 << 20) - 3] {
        assert_eq!(identity(&image(at)).as_deref(), Some(BANNER), "{at}");
    }
}

#[tokio::test]
async fn compressed_images_show_theirs_alone_and_behind_a_decompressor() {
    for compression in ["gz", "xz", "bz2", "zstd"] {
        let packed = pack(&image(70_000), compression).await;
        assert_eq!(identity(&packed).as_deref(), Some(BANNER), "{compression}");
        let mut wrapped = b"MZ decompressor \x1f\x8b\x08 BZh no stream".to_vec();
        wrapped.extend_from_slice(&packed);
        wrapped.extend_from_slice(&noise(300));
        assert_eq!(identity(&wrapped).as_deref(), Some(BANNER), "{compression}");
    }
}

#[test]
fn a_banner_without_a_build_number_is_better_than_none() {
    let weak = BANNER.replace("#1", "#");
    let image = [&noise(100), weak.as_bytes(), b"\n", &noise(3 << 20)].concat();
    assert_eq!(identity(&image), Some(weak));
}

#[test]
fn an_image_without_a_banner_has_no_identity() {
    assert_eq!(identity(&noise(10_000)), None);
    assert_eq!(identity(b""), None);
    // Not a whole line.
    assert_eq!(identity(b"Linux version 6.1.0"), None);
    assert_eq!(identity(b"Linux version six\n"), None);
}
