//! What tells a receiver that a delivery is ours, and which one it is.

use basalt_store::{Delivery, Webhook};
use ring::hmac;
use sha2::Digest;
use uuid::Uuid;

/// The delivery's UUID: the same in every attempt, and no other delivery's of any lab, since the
/// webhook's secret is in it.
pub fn delivery_uuid(webhook: &Webhook, delivery: &Delivery) -> Uuid {
    let mut digest = sha2::Sha256::new();
    digest.update(b"basalt delivery\0");
    digest.update(&webhook.secret);
    digest.update(delivery.id.0.to_be_bytes());
    digest.update(delivery.created.0.to_be_bytes());
    let digest: [u8; 32] = digest.finalize().into();
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest[..16]);
    uuid::Builder::from_custom_bytes(bytes).into_uuid()
}

/// The header `Basalt-Signature`: `v1=` and the HMAC-SHA256 of delivery id, `.`, timestamp, `.`,
/// body.
pub fn signature(secret: &[u8], delivery: &str, timestamp: i64, body: &[u8]) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
    let mut context = hmac::Context::with_key(&key);
    context.update(format!("{delivery}.{timestamp}.").as_bytes());
    context.update(body);
    let mut text = String::from("v1=");
    for byte in context.sign().as_ref() {
        text.push_str(&format!("{byte:02x}"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signature_is_what_openssl_computes() {
        // printf 'd.1.body' | openssl dgst -sha256 -hmac key
        assert_eq!(signature(b"key", "d", 1, b"body"), EXPECTED);
    }

    const EXPECTED: &str = "v1=84120c520a0794a8021c5e6ac02f5a0814d57746e2541229d7dcd3d9aac5a580";
}
