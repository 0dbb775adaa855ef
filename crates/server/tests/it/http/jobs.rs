//! Submitting, and submitting again.

use basalt_api::{Definition, Job, JobSummary, Page, Validation};
use basalt_model::JobState;
use futures::future::join_all;
use reqwest::{Method, StatusCode};

use super::site::{JOB, counted};
use super::{Site, problem};

#[tokio::test(flavor = "multi_thread")]
async fn a_job_is_taken_as_yaml_or_json_and_read_back() {
    let site = Site::start().await;
    let yaml = site.post("/api/v1/jobs");
    let yaml = yaml.header("content-type", "application/yaml").body(JOB);
    let answer = yaml.send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::CREATED);
    let place = answer.headers()["location"].to_str().unwrap().to_owned();
    let job: Job = answer.json().await.unwrap();
    assert_eq!(place, format!("/api/v1/jobs/{}", job.id));
    let json = site.post("/api/v1/jobs");
    let json = json.json(&serde_json::json!({"definition": JOB}));
    let twin: Job = site.json(json).await;
    assert_ne!(twin.id, job.id);
    assert_eq!(twin.definition_sha256, job.definition_sha256);

    let definition: Definition = site.json(site.get(&format!("{place}/definition"))).await;
    assert_eq!(definition.text, JOB);
    let raw = site.get(&format!("{place}/definition"));
    let raw = raw
        .header("accept", "application/yaml")
        .send()
        .await
        .unwrap();
    let tag = raw.headers()["etag"].clone();
    assert_eq!(raw.text().await.unwrap(), JOB);
    let again = site.get(&format!("{place}/definition"));
    let again = again.header("accept", "application/yaml");
    let again = again.header("if-none-match", tag).send().await.unwrap();
    assert_eq!(again.status(), StatusCode::NOT_MODIFIED);
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_gives_one_job_however_often_and_from_however_many_it_is_sent() {
    let site = Site::start().await;
    let send = |body: String, token: String| {
        site.request(Method::POST, "/api/v1/jobs", &token)
            .header("idempotency-key", "the key")
            .header("content-type", "application/yaml")
            .body(body)
            .send()
    };
    let all = (0..20).map(|_| send(JOB.to_owned(), site.ann.clone()));
    let mut jobs = Vec::new();
    for answer in join_all(all).await {
        let answer = answer.unwrap();
        let status = answer.status();
        jobs.push((status, answer.json::<Job>().await.unwrap().id));
    }
    let statuses = counted(jobs.iter().map(|(status, _)| *status));
    assert_eq!(statuses[&StatusCode::CREATED], 1, "{statuses:?}");
    assert_eq!(statuses[&StatusCode::OK], 19, "{statuses:?}");
    assert!(jobs.iter().all(|(_, id)| *id == jobs[0].1), "{jobs:?}");

    let other = send(format!("{JOB}# another\n"), site.ann.clone());
    let other = other.await.unwrap();
    let told = problem(other, StatusCode::CONFLICT).await;
    assert!(told.detail.contains("key"), "{told:?}");
    // Keys are their owner's: another account's is another key.
    let another = send(JOB.to_owned(), site.root.clone()).await.unwrap();
    assert_eq!(another.status(), StatusCode::CREATED);
    for key in ["", &"k".repeat(201)] {
        let request = site.post("/api/v1/jobs").header("idempotency-key", key);
        let request = request.header("content-type", "application/yaml").body(JOB);
        problem(request.send().await.unwrap(), StatusCode::BAD_REQUEST).await;
    }
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_with_mistakes_is_refused_with_their_places() {
    let site = Site::start().await;
    let wrong = JOB.replace("device_type: simulated", "device_type: simulatd");
    let request = |path: &str| {
        let request = site.post(path).header("content-type", "application/yaml");
        request.body(wrong.clone())
    };
    let answer = request("/api/v1/jobs").send().await.unwrap();
    let told = problem(answer, StatusCode::UNPROCESSABLE_ENTITY).await;
    let diagnostic = &told.diagnostics[0];
    assert!(diagnostic.line > 0 && diagnostic.column > 0);
    assert_eq!(
        diagnostic.hint.as_deref(),
        Some("did you mean `simulated`?")
    );
    let validation: Validation = site.json(request("/api/v1/jobs/validate")).await;
    assert!(!validation.valid);
    assert_eq!(validation.diagnostics, told.diagnostics);
    let page: Page<JobSummary> = site.json(site.get("/api/v1/jobs")).await;
    assert!(page.items.is_empty());
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_comes_in_pieces_without_holes() {
    let site = Site::start().await;
    let mut submitted = Vec::new();
    for _ in 0..7 {
        submitted.push(site.submit().await.id);
    }
    submitted.reverse();
    let mut listed = Vec::new();
    let mut path = "/api/v1/jobs?limit=3&state=queued&submitter=me".to_owned();
    loop {
        let page: Page<JobSummary> = site.json(site.get(&path)).await;
        assert!(page.items.len() <= 3);
        listed.extend(page.items.iter().map(|job| job.id));
        let Some(next) = page.next else { break };
        path = format!("/api/v1/jobs?limit=3&state=queued&submitter=me&cursor={next}");
    }
    assert_eq!(listed, submitted);
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_is_canceled_by_its_owner_and_not_by_others() {
    let site = Site::start().await;
    let job = site.submit().await.id;
    let path = format!("/api/v1/jobs/{job}/cancel");
    let ben = site.account("ben", basalt_model::Role::User).await;
    let refused = site
        .request(Method::POST, &path, &ben)
        .send()
        .await
        .unwrap();
    problem(refused, StatusCode::FORBIDDEN).await;
    let canceled: Job = site.json(site.post(&path)).await;
    assert_eq!(canceled.state, JobState::Finished);
    let again = site.post(&format!("/api/v1/jobs/{job}/resubmit"));
    let again: Job = site.json(again).await;
    assert_eq!(again.resubmission_of, Some(job));
    site.stop().await;
}
