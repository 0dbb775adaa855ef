//! `file:` URLs: only below declared directories (decision D21).

use std::fs::OpenOptions;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;
use tokio::io::AsyncReadExt;

use crate::cache::{Source, cache_error};
use crate::error::FetchError;
use crate::http::open_part;
use crate::part::Validator;
use crate::request::{Policy, Progress, Wanted};

/// Copies the file, unless the cache already has it as it is now.
pub(crate) async fn read(
    parts: &Path,
    key: &str,
    wanted: &Wanted,
    known: Option<&Validator>,
    policy: &Policy,
    progress: &(dyn Fn(Progress<'_>) + Sync),
) -> Result<Source, FetchError> {
    let subject = &wanted.subject;
    let file = open_below_roots(wanted, policy)?;
    let file_error = |source| FetchError::File {
        subject: subject.clone(),
        source,
    };
    let metadata = file.metadata().map_err(file_error)?;
    let validator = Validator {
        file: Some(format!(
            "{} {}:{} {}.{:09} {}.{:09}",
            metadata.len(),
            metadata.dev(),
            metadata.ino(),
            metadata.mtime(),
            metadata.mtime_nsec(),
            metadata.ctime(),
            metadata.ctime_nsec(),
        )),
        ..Validator::default()
    };
    if known == Some(&validator) {
        return Ok(Source::NotModified);
    }
    let too_large = || FetchError::TooLarge {
        subject: subject.clone(),
        what: "the file",
        limit: policy.size_limit,
    };
    if metadata.len() > policy.size_limit {
        return Err(too_large());
    }
    let mut part = open_part(parts, key, wanted).await?;
    let path = part.path().to_owned();
    let failed = |source| cache_error(subject, "writing", &path)(source);
    part.restart().await.map_err(failed)?;
    let mut source = tokio::fs::File::from_std(file);
    let mut buffer = vec![0; 1 << 18];
    loop {
        let count = source.read(&mut buffer).await.map_err(file_error)?;
        if count == 0 {
            break;
        }
        part.write(&buffer[..count]).await.map_err(failed)?;
        if part.received > policy.size_limit {
            part.discard().map_err(failed)?;
            return Err(too_large());
        }
        progress(Progress {
            label: &subject.label,
            received: part.received,
            total: Some(metadata.len()),
        });
    }
    if let Some(evidence) = part.html() {
        part.discard().map_err(failed)?;
        return Err(FetchError::Html {
            subject: subject.clone(),
            evidence,
        });
    }
    let whole = part.finish().await.map_err(failed)?;
    Ok(Source::Downloaded(whole, validator))
}

fn open_below_roots(wanted: &Wanted, policy: &Policy) -> Result<std::fs::File, FetchError> {
    let file_error = |source| FetchError::File {
        subject: wanted.subject.clone(),
        source,
    };
    let forbidden = || {
        let roots: Vec<_> = policy
            .file_roots
            .iter()
            .map(|root| root.display().to_string())
            .collect();
        FetchError::ForbiddenFile {
            subject: wanted.subject.clone(),
            roots: match roots.is_empty() {
                true => "there are none".to_owned(),
                false => roots.join(", "),
            },
        }
    };
    let path = wanted
        .url
        .to_file_path()
        .map_err(|()| FetchError::BadRequest {
            subject: wanted.subject.clone(),
            reason: "the URL names no file of this host".to_owned(),
        })?;
    // A root that does not exist holds nothing.
    let roots: Vec<PathBuf> = policy
        .file_roots
        .iter()
        .filter_map(|root| root.canonicalize().ok())
        .collect();
    let below = |path: &Path| roots.iter().any(|root| path.starts_with(root));
    // Whether a file outside of the roots exists is nobody's business.
    let lexically_below = policy.file_roots.iter().any(|root| path.starts_with(root));
    let real = match path.canonicalize() {
        Ok(real) if below(&real) => real,
        Err(error) if lexically_below => return Err(file_error(error)),
        _ => return Err(forbidden()),
    };
    let file = OpenOptions::new()
        .read(true)
        // A pipe must not block us.
        .custom_flags(OFlags::NONBLOCK.bits() as i32)
        .open(&real)
        .map_err(file_error)?;
    // What was opened, whatever became of the path since it was checked.
    let opened = std::fs::read_link(format!("/proc/self/fd/{}", file.as_raw_fd()));
    if !below(&opened.map_err(file_error)?) {
        return Err(forbidden());
    }
    if !file.metadata().map_err(file_error)?.is_file() {
        return Err(file_error(io::Error::other("it is not a regular file")));
    }
    Ok(file)
}
