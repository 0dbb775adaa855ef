//! NFSv3 with a client of our server's family, over TCP on loopback.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use basalt_netboot::{Export, ExportSpec, NfsServer};
use nfs3_client::io::{AsyncRead, AsyncWrite};
use nfs3_client::net::Connector;
use nfs3_client::nfs3_types::nfs3::{
    GETATTR3args, LOOKUP3args, Nfs3Result, READ3args, READDIR3args, READDIRPLUS3args,
    READLINK3args, WRITE3args, cookieverf3, diropargs3, entryplus3, fattr3, filename3, ftype3,
    nfs_fh3, nfsstat3, stable_how,
};
use nfs3_client::nfs3_types::xdr_codec::Opaque;
use nfs3_client::{ConnectError, Nfs3Connection, Nfs3ConnectionBuilder};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

/// Bound of every wait in these tests.
const PATIENCE: Duration = Duration::from_secs(20);
const OTHER_HOST: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);

type Connection = Nfs3Connection<Stream>;

/// A stream whose end is an error: nfs3_client 0.9.1 goes on reading at the end of one for ever.
struct Stream(TcpStream);

impl AsyncRead for Stream {
    async fn async_read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        match self.0.read(buffer).await? {
            0 => Err(std::io::ErrorKind::UnexpectedEof.into()),
            length => Ok(length),
        }
    }
}

impl AsyncWrite for Stream {
    async fn async_write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.write(bytes).await
    }
}

/// Connects from an address of our choice.
struct From(Ipv4Addr);

impl Connector for From {
    type Connection = Stream;

    async fn connect(&self, to: SocketAddr) -> std::io::Result<Self::Connection> {
        self.connect_with_port(to, 0).await
    }

    async fn connect_with_port(
        &self,
        to: SocketAddr,
        port: u16,
    ) -> std::io::Result<Self::Connection> {
        let socket = TcpSocket::new_v4()?;
        socket.bind((self.0, port).into())?;
        socket.connect(to).await.map(Stream)
    }
}

async fn mount_from(
    address: Ipv4Addr,
    server: &NfsServer,
    path: &str,
) -> Result<Connection, ConnectError> {
    let port = server.local_addr().port();
    let mounting = Nfs3ConnectionBuilder::new(From(address), "127.0.0.1", path)
        .connect_from_privileged_port(false)
        .mount_port(port)
        .nfs3_port(port)
        .mount();
    tokio::time::timeout(PATIENCE, mounting)
        .await
        .expect("no answer to the mount")
}

async fn mount(server: &NfsServer, export: &Export) -> Connection {
    mount_from(Ipv4Addr::LOCALHOST, server, &export.path())
        .await
        .unwrap()
}

fn bind() -> NfsServer {
    NfsServer::bind(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0)).unwrap()
}

/// A small root file system and a graft.
fn directories() -> (TempDir, TempDir) {
    let (base, graft) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let write = |path: &Path, content: &[u8], mode| {
        std::fs::write(path, content).unwrap();
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    for directory in ["bin", "etc/deep/er", "lava-7", "many"] {
        std::fs::create_dir_all(base.path().join(directory)).unwrap();
    }
    write(&base.path().join("bin/su"), b"\x7fELF", 0o4755);
    write(
        &base.path().join("etc/deep/er/file"),
        b"at the bottom",
        0o640,
    );
    write(&base.path().join("lava-7/hidden"), b"x", 0o644);
    std::os::unix::fs::symlink("bin/su", base.path().join("link")).unwrap();
    std::os::unix::fs::symlink("/etc", base.path().join("absolute")).unwrap();
    write(&graft.path().join("environment"), b"export A=1\n", 0o755);
    (base, graft)
}

fn spec(base: &TempDir, graft: &TempDir) -> ExportSpec {
    ExportSpec {
        client: Some(Ipv4Addr::LOCALHOST),
        base: base.path().to_owned(),
        graft: vec![
            ("lava-7".to_owned(), graft.path().to_owned()),
            ("results".to_owned(), graft.path().to_owned()),
        ],
    }
}

async fn look_up(
    connection: &mut Connection,
    directory: &nfs_fh3,
    name: &str,
) -> Result<(nfs_fh3, fattr3), nfsstat3> {
    let what = diropargs3 {
        dir: directory.clone(),
        name: filename3::from(name.as_bytes().to_vec()),
    };
    match connection.lookup(&LOOKUP3args { what }).await.unwrap() {
        Nfs3Result::Ok(found) => Ok((found.object, found.obj_attributes.unwrap())),
        Nfs3Result::Err((status, _)) => Err(status),
    }
}

async fn walk(connection: &mut Connection, path: &str) -> (nfs_fh3, fattr3) {
    let mut found = None;
    let mut handle = connection.root_nfs_fh3();
    for name in path.split('/') {
        let (next, attributes) = look_up(connection, &handle, name).await.unwrap();
        handle = next.clone();
        found = Some((next, attributes));
    }
    found.unwrap()
}

async fn read(
    connection: &mut Connection,
    file: &nfs_fh3,
    offset: u64,
    count: u32,
) -> Result<(Vec<u8>, bool), nfsstat3> {
    match connection
        .read(&READ3args {
            file: file.clone(),
            offset,
            count,
        })
        .await
        .unwrap()
    {
        Nfs3Result::Ok(got) => Ok((got.data.as_ref().to_vec(), got.eof)),
        Nfs3Result::Err((status, _)) => Err(status),
    }
}

async fn attributes(connection: &mut Connection, object: &nfs_fh3) -> Result<fattr3, nfsstat3> {
    match connection
        .getattr(&GETATTR3args {
            object: object.clone(),
        })
        .await
        .unwrap()
    {
        Nfs3Result::Ok(got) => Ok(got.obj_attributes),
        Nfs3Result::Err((status, _)) => Err(status),
    }
}

/// All entries by READDIRPLUS, page by page, and how many pages there were.
async fn list_plus(
    connection: &mut Connection,
    directory: &nfs_fh3,
) -> (BTreeMap<String, entryplus3<'static>>, usize) {
    let (mut entries, mut pages) = (BTreeMap::new(), 0);
    let (mut cookie, mut cookieverf) = (0, cookieverf3::default());
    loop {
        let args = READDIRPLUS3args {
            dir: directory.clone(),
            cookie,
            cookieverf,
            dircount: 4096,
            maxcount: 32768,
        };
        let page = connection.readdirplus(&args).await.unwrap().unwrap();
        pages += 1;
        cookieverf = page.cookieverf;
        for entry in page.reply.entries.into_inner() {
            cookie = entry.cookie;
            let name = String::from_utf8(entry.name.as_ref().to_vec()).unwrap();
            assert!(
                entries.insert(name.clone(), entry).is_none(),
                "{name} came twice"
            );
        }
        if page.reply.eof {
            return (entries, pages);
        }
    }
}

#[tokio::test]
async fn files_are_read_with_their_real_modes_and_links() {
    let (base, graft) = directories();
    let server = bind();
    let export = server.export(&spec(&base, &graft)).unwrap();
    let connection = &mut mount(&server, &export).await;

    let (su, su_attributes) = walk(connection, "bin/su").await;
    assert_eq!(
        (su_attributes.mode, su_attributes.nlink, su_attributes.size),
        (0o4755, 1, 4)
    );
    assert!(matches!(su_attributes.type_, ftype3::NF3REG));
    assert_eq!((su_attributes.uid, su_attributes.gid), (0, 0));
    assert_eq!(
        read(connection, &su, 0, 100).await,
        Ok((b"\x7fELF".to_vec(), true))
    );

    let (file, _) = walk(connection, "etc/deep/er/file").await;
    assert_eq!(
        read(connection, &file, 3, 3).await,
        Ok((b"the".to_vec(), false))
    );
    assert_eq!(
        read(connection, &file, 500, 10).await,
        Ok((Vec::new(), true))
    );
    let (directory, directory_attributes) = walk(connection, "etc/deep").await;
    assert_eq!(directory_attributes.nlink, 3);
    assert_eq!(
        read(connection, &directory, 0, 10).await,
        Err(nfsstat3::NFS3ERR_ISDIR)
    );
    let (up, up_attributes) = walk(connection, "etc/deep/er/..").await;
    assert_eq!(
        (up, up_attributes.fileid),
        (directory, directory_attributes.fileid)
    );
    assert_eq!(export.activity().mounts, 1);
    assert_eq!(export.activity().bytes_read, 7);
}

#[tokio::test]
async fn symbolic_links_are_told_and_never_followed() {
    let (base, graft) = directories();
    let server = bind();
    let export = server.export(&spec(&base, &graft)).unwrap();
    let connection = &mut mount(&server, &export).await;
    for (name, target) in [("link", "bin/su"), ("absolute", "/etc")] {
        let (link, attributes) = walk(connection, name).await;
        assert!(matches!(attributes.type_, ftype3::NF3LNK));
        let got = connection
            .readlink(&READLINK3args {
                symlink: link.clone(),
            })
            .await
            .unwrap()
            .unwrap();
        assert_eq!(got.data.0.as_ref(), target.as_bytes());
        assert_eq!(
            look_up(connection, &link, "passwd").await.err(),
            Some(nfsstat3::NFS3ERR_NOTDIR)
        );
        assert_eq!(
            read(connection, &link, 0, 10).await,
            Err(nfsstat3::NFS3ERR_INVAL)
        );
    }
}

#[tokio::test]
async fn grafts_appear_at_the_top_and_hide_what_the_base_has_there() {
    let (base, graft) = directories();
    let server = bind();
    let export = server.export(&spec(&base, &graft)).unwrap();
    let connection = &mut mount(&server, &export).await;
    let root = connection.root_nfs_fh3();
    let (entries, _) = list_plus(connection, &root).await;
    let names: Vec<_> = entries.keys().map(String::as_str).collect();
    assert_eq!(
        names,
        [
            ".", "..", "absolute", "bin", "etc", "lava-7", "link", "many", "results"
        ]
    );
    // Two for itself, one for each of bin, etc, many, lava-7, results.
    assert_eq!(attributes(connection, &root).await.unwrap().nlink, 7);

    let (environment, _) = walk(connection, "lava-7/environment").await;
    assert_eq!(
        read(connection, &environment, 0, 100).await.unwrap().0,
        b"export A=1\n"
    );
    let (graft_root, _) = walk(connection, "lava-7").await;
    assert_eq!(
        look_up(connection, &graft_root, "hidden").await.err(),
        Some(nfsstat3::NFS3ERR_NOENT)
    );
    assert_eq!(
        look_up(connection, &graft_root, "..").await.unwrap().0,
        root
    );
    assert_eq!(look_up(connection, &root, "..").await.unwrap().0, root);
    for (name, entry) in entries {
        let found = look_up(connection, &root, &name).await.unwrap();
        assert_eq!(
            (entry.fileid, entry.name_handle.unwrap()),
            (found.1.fileid, found.0),
            "{name}"
        );
    }
}

#[tokio::test]
async fn large_directories_come_in_pages_without_loss_or_repetition() {
    let (base, graft) = directories();
    for index in 0..3000 {
        std::fs::write(base.path().join(format!("many/file-{index}")), b"").unwrap();
    }
    // A directory of the epoch, as reproducible images have them, confuses the library's verifier.
    let epoch = std::fs::FileTimes::new().set_modified(std::time::UNIX_EPOCH);
    std::fs::File::open(base.path().join("many"))
        .unwrap()
        .set_times(epoch)
        .unwrap();
    let server = bind();
    let export = server.export(&spec(&base, &graft)).unwrap();
    let connection = &mut mount(&server, &export).await;
    let (many, _) = walk(connection, "many").await;
    let (entries, pages) = list_plus(connection, &many).await;
    assert_eq!(entries.len(), 3002);
    assert!(pages > 10, "{pages} pages");

    let (mut count, mut cookie, mut cookieverf) = (0, 0, cookieverf3::default());
    loop {
        let args = READDIR3args {
            dir: many.clone(),
            cookie,
            cookieverf,
            count: 4096,
        };
        let page = connection.readdir(&args).await.unwrap().unwrap();
        cookieverf = page.cookieverf;
        let list = page.reply.entries.into_inner();
        count += list.len();
        cookie = list.last().map_or(cookie, |entry| entry.cookie);
        if page.reply.eof {
            break;
        }
    }
    assert_eq!(count, 3002);
}

#[tokio::test]
async fn writing_is_refused_as_on_a_read_only_file_system() {
    let (base, graft) = directories();
    let server = bind();
    let export = server.export(&spec(&base, &graft)).unwrap();
    let connection = &mut mount(&server, &export).await;
    let (su, _) = walk(connection, "bin/su").await;
    let args = WRITE3args {
        file: su,
        offset: 0,
        count: 3,
        stable: stable_how::FILE_SYNC,
        data: Opaque::borrowed(b"bad"),
    };
    let Nfs3Result::Err((status, _)) = connection.write(&args).await.unwrap() else {
        panic!("it was written")
    };
    assert_eq!(status, nfsstat3::NFS3ERR_ROFS);
    assert_eq!(
        std::fs::read(base.path().join("bin/su")).unwrap(),
        b"\x7fELF"
    );
}

#[tokio::test]
async fn handles_hold_over_a_restart_of_the_server() {
    let (base, graft) = directories();
    let server = bind();
    let export = server.export(&spec(&base, &graft)).unwrap();
    let path = export.path();
    let connection = &mut mount(&server, &export).await;
    let root = connection.root_nfs_fh3();
    let (deep, _) = walk(connection, "etc/deep/er/file").await;
    let (grafted, _) = walk(connection, "lava-7/environment").await;
    drop((export, server));

    let server = bind();
    let export = server.reexport(&path, &spec(&base, &graft)).unwrap();
    assert!(
        server.reexport(&path, &spec(&base, &graft)).is_err(),
        "exported twice"
    );
    let connection = &mut mount(&server, &export).await;
    assert_eq!(connection.root_nfs_fh3(), root);
    assert_eq!(
        read(connection, &deep, 0, 100).await.unwrap().0,
        b"at the bottom"
    );
    assert_eq!(
        read(connection, &grafted, 0, 100).await.unwrap().0,
        b"export A=1\n"
    );
    assert!(attributes(connection, &root).await.is_ok());
}

#[tokio::test]
async fn a_closed_export_cuts_its_connections_and_makes_handles_stale() {
    let (base, graft) = directories();
    let server = bind();
    let closed = server.export(&spec(&base, &graft)).unwrap();
    let open = server.export(&spec(&base, &graft)).unwrap();
    let connection = &mut mount(&server, &closed).await;
    let root = connection.root_nfs_fh3();
    let path = closed.path();
    drop(closed);
    // The client has another export, so its connection stays.
    assert_eq!(
        attributes(connection, &root).await.err(),
        Some(nfsstat3::NFS3ERR_STALE)
    );
    assert!(
        mount_from(Ipv4Addr::LOCALHOST, &server, &path)
            .await
            .is_err()
    );
    drop(open);
    let asked =
        tokio::time::timeout(PATIENCE, connection.getattr(&GETATTR3args { object: root })).await;
    assert!(asked.expect("the connection stays open").is_err());
}

#[tokio::test]
async fn another_host_is_refused_even_with_path_and_handle() {
    let (base, graft) = directories();
    let server = bind();
    let export = server.export(&spec(&base, &graft)).unwrap();
    let root = mount(&server, &export).await.root_nfs_fh3();
    assert!(
        mount_from(OTHER_HOST, &server, &export.path())
            .await
            .is_err()
    );

    let others = ExportSpec {
        client: Some(OTHER_HOST),
        ..spec(&base, &graft)
    };
    let others = server.export(&others).unwrap();
    let connection = &mut mount_from(OTHER_HOST, &server, &others.path())
        .await
        .unwrap();
    assert_eq!(
        attributes(connection, &root).await.err(),
        Some(nfsstat3::NFS3ERR_STALE)
    );
    assert!(
        mount_from(OTHER_HOST, &server, &export.path())
            .await
            .is_err()
    );
    assert!(
        mount_from(Ipv4Addr::LOCALHOST, &server, &others.path())
            .await
            .is_err()
    );
}

#[tokio::test]
async fn only_the_full_path_can_be_mounted() {
    let (base, graft) = directories();
    let server = bind();
    let export = server.export(&spec(&base, &graft)).unwrap();
    let path = export.path();
    for wrong in [
        "/",
        "",
        "/r",
        "/r/",
        &path[..path.len() - 1],
        "/r/../etc",
        &format!("{path}/../..x"),
    ] {
        assert!(
            mount_from(Ipv4Addr::LOCALHOST, &server, wrong)
                .await
                .is_err(),
            "{wrong:?} was mounted"
        );
    }
    let below = mount_from(Ipv4Addr::LOCALHOST, &server, &format!("{path}/etc/deep")).await;
    assert!(below.is_ok(), "a directory below can be mounted");
    let mut connection = mount(&server, &export).await;
    let exports = connection.mount_client.export().await.unwrap().into_inner();
    assert!(
        exports
            .iter()
            .all(|listed| !listed.ex_dir.0.as_ref().starts_with(b"/r")),
        "{exports:?}"
    );
}

#[tokio::test]
async fn names_that_could_lead_out_are_not_found() {
    let (base, graft) = directories();
    let server = bind();
    let export = server.export(&spec(&base, &graft)).unwrap();
    let connection = &mut mount(&server, &export).await;
    let root = connection.root_nfs_fh3();
    for name in ["../../etc", "bin/su", "/etc/passwd", "bin\0", ""] {
        assert_eq!(
            look_up(connection, &root, name).await.err(),
            Some(nfsstat3::NFS3ERR_NOENT),
            "{name:?}"
        );
    }
    let long = "n".repeat(300);
    assert_eq!(
        look_up(connection, &root, &long).await.err(),
        Some(nfsstat3::NFS3ERR_NAMETOOLONG)
    );
}

#[tokio::test]
async fn a_call_of_a_gigabyte_ends_the_connection_before_it_is_stored() {
    let (base, graft) = directories();
    let server = bind();
    let _export = server.export(&spec(&base, &graft)).unwrap();
    let mut stream = TcpStream::connect(server.local_addr()).await.unwrap();
    stream
        .write_all(&0xc000_0000_u32.to_be_bytes())
        .await
        .unwrap();
    let mut buffer = [0; 1];
    let end = tokio::time::timeout(PATIENCE, stream.read(&mut buffer))
        .await
        .expect("the connection stays open");
    assert!(matches!(end, Ok(0) | Err(_)), "{end:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_file_is_read_whole() {
    let (base, graft) = directories();
    let content: Vec<u8> = (0..30_000_000_u32)
        .map(|index| (index ^ (index >> 9)) as u8)
        .collect();
    std::fs::write(base.path().join("large"), &content).unwrap();
    let server = bind();
    let export = server.export(&spec(&base, &graft)).unwrap();
    let connection = &mut mount(&server, &export).await;
    let (file, _) = walk(connection, "large").await;
    let mut got = Vec::new();
    loop {
        // More than the server gives at once.
        let (bytes, end) = read(connection, &file, got.len() as u64, 4 << 20)
            .await
            .unwrap();
        got.extend_from_slice(&bytes);
        if end {
            break;
        }
        assert_eq!(bytes.len(), 1 << 20);
    }
    assert!(got == content);
}
