//! Migrations over rows of earlier versions; every statement on both databases.

use basalt_model::{BoardName, JobId, RunId, UserName, UtcMicros};
use basalt_private_postgres::{PrivatePostgres, Settings};
use sqlx::{AssertSqlSafe, Executor as _};

use super::*;
use crate::{FeedId, JobFilter, Store, StoreConfig, TrendFilter, WebhookId, statements};

/// Rows as each version wrote them.
const SAMPLES: &[(i64, &str)] = &[
    (
        1,
        include_str!("../../../../migrations/sample/0001_initial.sql"),
    ),
    (
        2,
        include_str!("../../../../migrations/sample/0002_trends.sql"),
    ),
    (
        3,
        include_str!("../../../../migrations/sample/0003_retention.sql"),
    ),
    (
        4,
        include_str!("../../../../migrations/sample/0004_refusals.sql"),
    ),
];
const LIMIT: Duration = Duration::from_secs(60);

async fn cluster() -> PrivatePostgres {
    let start = || PrivatePostgres::start(Settings { fsync: false });
    let cluster = tokio::task::spawn_blocking(start).await.unwrap();
    cluster.unwrap_or_else(|error| panic!("{error}"))
}

/// Bytes as PostgreSQL spells them.
fn respelled(sample: &str) -> String {
    let mut parts = sample.split("x'");
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (hex, rest) = part.split_once('\'').unwrap();
        assert!(hex.chars().all(|digit| digit.is_ascii_hexdigit()), "{hex}");
        text.push_str(&format!("'\\x{hex}'::bytea{rest}"));
    }
    text
}

async fn fill_and_read(url: &str) {
    let pools = connect(url, LIMIT).await.unwrap();
    let versions: Vec<_> = MIGRATIONS.iter().map(|migration| migration.0).collect();
    let sampled: Vec<_> = SAMPLES.iter().map(|sample| sample.0).collect();
    assert_eq!(sampled, versions, "a migration comes with sample rows");
    for (version, sample) in SAMPLES {
        migrate(&pools, *version).await.unwrap();
        match &pools {
            Pools::Sqlite { writer, .. } => {
                writer.execute(sqlx::raw_sql(*sample)).await.unwrap();
            }
            Pools::Postgres(pool) => {
                let sample = AssertSqlSafe(respelled(sample));
                pool.execute(sqlx::raw_sql(sample)).await.unwrap();
            }
        }
    }
    let objects = tempfile::tempdir().unwrap();
    let config = StoreConfig::new(url, objects.path().display().to_string());
    let store = Store::open(&config).await.unwrap();
    let run = RunId::from_uuid("01900000-0000-7000-8000-000000000001".parse().unwrap());
    let next = RunId::from_uuid("01900000-0000-7000-8000-000000000002".parse().unwrap());
    read_everything(&store, run, next).await;
}

/// Reads everything of the sample through the store.
async fn read_everything(store: &Store, run: RunId, next: RunId) {
    let users = store.users().await.unwrap();
    assert_eq!(
        users.iter().map(|user| user.disabled).collect::<Vec<_>>(),
        [false, true]
    );
    assert!(store.user(&UserName::new("ada")).await.unwrap().is_some());
    assert_eq!(store.tokens(None).await.unwrap().len(), 2);
    assert_eq!(
        store.current_revision().await.unwrap().unwrap().files.len(),
        1
    );
    let boards = store.boards(true).await.unwrap();
    assert_eq!(boards[0].tags, ["virtual", "rt"]);
    assert_eq!(boards[0].run, Some(next));
    assert_eq!(boards[1].console_reason.as_deref(), Some("no such device"));
    assert_eq!(store.dispatchers().await.unwrap().len(), 2);
    let jobs = store
        .jobs(&JobFilter::default(), None, 10)
        .await
        .unwrap()
        .jobs;
    assert_eq!(jobs.len(), 3);
    assert_eq!(
        jobs[2].failure.as_ref().map(|one| one.code.as_str()),
        Some("panic")
    );
    assert_eq!(jobs[1].resubmit_of, Some(JobId(1)));
    assert_eq!(store.queued_jobs().await.unwrap().len(), 1);
    let runs = store.runs_of_job(JobId(1)).await.unwrap();
    assert_eq!((runs[0].id, runs[0].log_line), (run, 3));
    assert_eq!(store.open_runs().await.unwrap()[0].id, next);
    let events = store.events(run, 1, 10).await.unwrap();
    for event in &events {
        // Kinds of later builds included.
        basalt_model::Event::from_json(event.json.as_bytes()).unwrap();
    }
    assert_eq!(events.len(), 2);
    let chunk = store
        .read_log(next, 1, u32::MAX)
        .next()
        .await
        .unwrap()
        .unwrap();
    assert_eq!(chunk.data.as_ref(), b"\x00\xff\n\r");
    assert_eq!(store.files(run).await.unwrap()[0].bytes, 2874);
    assert_eq!(
        store.results(run).await.unwrap().as_deref(),
        Some("{\"version\":1}")
    );
    assert_eq!(store.cases(run).await.unwrap()[0].measurement, Some(45.5));
    let (board, all) = (BoardName::new("b1"), TrendFilter::default());
    let trend = store.latency_trend(&board, &all, 10);
    let trend: Vec<_> = trend
        .await
        .unwrap()
        .into_iter()
        .map(|one| one.row)
        .collect();
    let numbers = |suite: &str| {
        let row = trend.iter().find(|row| row.suite == suite).unwrap();
        (row.min_us, row.avg_ns, row.p99_us, row.p99_at_least)
    };
    // Filled from the records of before where they say it, and kept since.
    assert_eq!(numbers("0_idle"), (None, None, None, false));
    assert_eq!(numbers("2_idle"), (Some(3), Some(12_346), Some(38), false));
    assert_eq!(numbers("3_idle"), (None, None, None, false));
    assert_eq!(numbers("1_load"), (Some(2), Some(7_250), Some(39), true));
    let filled = trend.iter().find(|row| row.suite == "2_idle").unwrap();
    assert_eq!(filled.image_sha256.as_deref(), Some(&*"07".repeat(32)));
    assert_eq!(
        filled.kernel_version.as_deref(),
        Some("#1 SMP PREEMPT_RT 2026")
    );
    assert_eq!(store.audit(None, 10).await.unwrap().len(), 2);
    let webhook = store.webhook(WebhookId(1)).await.unwrap().unwrap();
    assert_eq!(
        (webhook.secret.as_slice(), webhook.events.len()),
        (&[1, 2, 3][..], 2)
    );
    let due = store.next_delivery_due().await.unwrap();
    assert_eq!(due, Some(UtcMicros(1_700_000_060_000_019)));
    let deliveries = async || store.deliveries(WebhookId(1), 10).await.unwrap().len();
    assert_eq!(deliveries().await, 3);
    // The younger one of two that have ended is kept, and what waits.
    let trim = store.trim_deliveries(UtcMicros(1_700_000_000_000_022));
    assert_eq!(trim.await.unwrap(), (1, false));
    assert_eq!(deliveries().await, 2);
    assert_eq!(store.feed(FeedId(0), 10).await.unwrap()[0].id, FeedId(7));
    assert_eq!(store.leader().await.unwrap().unwrap().holder, "server-1");
    // And it goes on from there.
    store
        .set_dispatcher_mode(
            &basalt_model::DispatcherName::new("main"),
            basalt_model::DispatcherMode::Maintenance,
            None,
            "ada",
            UtcMicros(1_700_000_000_000_100),
        )
        .await
        .unwrap();
    assert_eq!(store.feed_head().await.unwrap(), FeedId(8));
    store.close().await;
}

#[tokio::test]
async fn rows_of_every_version_are_read_from_sqlite() {
    let directory = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}", directory.path().join("basalt.db").display());
    fill_and_read(&url).await;
}

#[tokio::test]
async fn rows_of_every_version_are_read_from_postgres() {
    let cluster = cluster().await;
    fill_and_read(&cluster.url()).await;
}

#[tokio::test]
async fn every_statement_is_prepared_by_both_databases() {
    let directory = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}", directory.path().join("basalt.db").display());
    let cluster = cluster().await;
    let mut statements: Vec<(String, String)> = statements::ALL
        .iter()
        .flat_map(|topic| topic.iter())
        .map(|(name, sql)| ((*name).to_owned(), (*sql).to_owned()))
        .collect();
    assert!(statements.len() > 80, "the lists are not whole");
    for (head, width) in statements::INSERTS {
        let sql = format!("{head} values {}", super::super::tuples(2, *width));
        statements.push(((*head).to_owned(), sql));
    }
    for (name, _, filter) in crate::job::list::each_filter() {
        let (sql, _) = crate::job::list::statement(&filter, None, 10);
        statements.push((name.to_owned(), sql));
    }
    for url in [url, cluster.url()] {
        let pools = connect(&url, LIMIT).await.unwrap();
        migrate(&pools, i64::MAX).await.unwrap();
        for (name, sql) in &statements {
            let sql = AssertSqlSafe(sql.clone()).into_sql_str();
            let refused = match &pools {
                Pools::Sqlite { writer, .. } => writer.prepare(sql).await.err(),
                Pools::Postgres(pool) => pool.prepare(sql).await.err(),
            };
            assert!(refused.is_none(), "{name}: {refused:?}");
        }
    }
}

/// What is kept for a time only is mostly young: finding what is old must not look at all of it.
#[tokio::test]
async fn what_is_old_is_found_without_looking_at_what_is_young() {
    use sqlx::Row as _;
    let directory = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}", directory.path().join("basalt.db").display());
    let cluster = cluster().await;
    let trims = [
        ("outbox_ended", statements::feed::OUTBOX_TRIM),
        ("audit_by_time", statements::account::AUDIT_TRIM),
    ];
    for url in [url, cluster.url()] {
        let pools = connect(&url, LIMIT).await.unwrap();
        migrate(&pools, i64::MAX).await.unwrap();
        for (index, trim) in trims {
            // As PostgreSQL plans for a table that is not empty, with values in the statement.
            let trim = trim.replace("$1", "1700000000000000").replace("$2", "1000");
            let plan: Vec<String> = match &pools {
                Pools::Sqlite { writer, .. } => {
                    let explain = AssertSqlSafe(format!("explain query plan {trim}"));
                    let rows = writer.fetch_all(sqlx::raw_sql(explain)).await.unwrap();
                    rows.iter().map(|row| row.get(3)).collect()
                }
                Pools::Postgres(pool) => {
                    let mut connection = pool.acquire().await.unwrap();
                    let all = "set enable_seqscan = off";
                    connection.execute(sqlx::raw_sql(all)).await.unwrap();
                    let explain = AssertSqlSafe(format!("explain {trim}"));
                    let rows = connection.fetch_all(sqlx::raw_sql(explain)).await.unwrap();
                    rows.iter().map(|row| row.get(0)).collect()
                }
            };
            let goes_by_it = plan.iter().any(|step| step.contains(index));
            // PostgreSQL may sort what little such a table has.
            let sorts = plan.iter().any(|step| step.contains("TEMP B-TREE"));
            assert!(goes_by_it && !sorts, "{index}: {plan:#?}");
        }
    }
}

/// A list of 50 among 100 000 jobs must not look at all of them: each filter that can use an index
/// goes through it in the order of the list.
#[tokio::test]
async fn lists_of_jobs_neither_scan_nor_sort() {
    use sqlx::Row as _;
    let directory = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}", directory.path().join("basalt.db").display());
    let pools = connect(&url, LIMIT).await.unwrap();
    migrate(&pools, i64::MAX).await.unwrap();
    let Pools::Sqlite { writer, .. } = &pools else {
        unreachable!("the URL names SQLite");
    };
    for (name, index, filter) in crate::job::list::each_filter() {
        let (sql, _) = crate::job::list::statement(&filter, None, 10);
        let explain = AssertSqlSafe(format!("explain query plan {sql}"));
        let rows = writer.fetch_all(sqlx::raw_sql(explain)).await.unwrap();
        let plan: Vec<String> = rows.iter().map(|row| row.get(3)).collect();
        let sorts = plan.iter().any(|step| step.contains("TEMP B-TREE"));
        assert!(plan[0].contains(index) && !sorts, "{name}: {plan:?}");
    }
}
