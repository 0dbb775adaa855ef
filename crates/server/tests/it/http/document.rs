//! The API's document: a change of the API is a change of its snapshot.

use reqwest::{Method, StatusCode};
use serde_json::Value;

use super::Site;

#[test]
fn the_document_is_the_one_that_was_agreed_on() {
    insta::assert_json_snapshot!("openapi", basalt_server::http::document());
}

#[test]
fn operations_have_names_of_their_own() {
    let operations = operations();
    let mut names: Vec<_> = operations
        .iter()
        .map(|(_, _, operation)| operation["operationId"].as_str().unwrap())
        .collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), operations.len());
}

/// Every operation with something in the place of its parameters.
pub fn operations() -> Vec<(Method, String, Value)> {
    let document = serde_json::to_value(basalt_server::http::document()).unwrap();
    let paths = document["paths"].as_object().unwrap();
    let mut operations = Vec::new();
    for (path, item) in paths {
        let place = path
            .replace("{run}", "0193a1b2-7c00-7000-8000-000000000001")
            .replace("{path}", "raw/0_idle.json")
            .replace("{name}", "nobody")
            .replace("{id}", "4711");
        assert!(!place.contains('{'), "{path}");
        for (method, operation) in item.as_object().unwrap() {
            let method = method.to_uppercase().parse().unwrap();
            operations.push((method, place.clone(), operation.clone()));
        }
    }
    operations
}

#[tokio::test(flavor = "multi_thread")]
async fn every_documented_operation_is_served_and_says_how_it_fails() {
    let site = Site::start().await;
    for (method, path, operation) in operations() {
        assert!(
            operation["responses"]["default"]["content"]
                .get("application/problem+json")
                .is_some(),
            "{method} {path}"
        );
        assert!(
            operation["summary"].is_string() || operation["description"].is_string(),
            "{method} {path} is not described"
        );
        // Nobody is let in, but the route is there: another method, or no route, is told apart.
        let request = site.request(method.clone(), &path, "");
        let status = request.send().await.unwrap().status();
        assert_eq!(status, StatusCode::UNAUTHORIZED, "{method} {path}");
        let other = site.request(Method::TRACE, &path, &site.root);
        let status = other.send().await.unwrap().status();
        assert_eq!(status, StatusCode::METHOD_NOT_ALLOWED, "{method} {path}");
    }
    let nothing = site.get("/api/v1/nothing").send().await.unwrap();
    super::problem(nothing, StatusCode::NOT_FOUND).await;
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_document_is_served_to_everybody_and_not_twice() {
    let site = Site::start().await;
    let path = "/api/v1/openapi.json";
    let first = site.request(Method::GET, path, "").send().await.unwrap();
    assert_eq!(first.status(), StatusCode::OK);
    let tag = first.headers()["etag"].clone();
    let served: Value = first.json().await.unwrap();
    let made = serde_json::to_value(basalt_server::http::document()).unwrap();
    assert_eq!(served, made);
    let again = site
        .request(Method::GET, path, "")
        .header("if-none-match", tag);
    let again = again.send().await.unwrap();
    assert_eq!(again.status(), StatusCode::NOT_MODIFIED);
    site.stop().await;
}
