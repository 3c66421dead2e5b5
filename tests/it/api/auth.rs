//! Who may do what: accounts, sessions, tokens, and every route with every role.

use super::v1_jobs::{call, draft, named};
use super::{get, post, send};
use crate::support::TestApp;
use reqwest::{Method, RequestBuilder, header};
use serde_json::{Value, json};

const PASSWORD: &str = "correct horse";

/// Makes an account and gives back a session's token.
async fn account(app: &TestApp, by: Option<&str>, username: &str, role: &str) -> String {
    let body = json!({"username": username, "password": PASSWORD, "role": role});
    let request = call(app, Method::POST, "/accounts").json(&body);
    let (status, made) = send(with(request, by)).await;
    assert_eq!(status, 201, "{made}");
    login(app, username).await
}

async fn login(app: &TestApp, username: &str) -> String {
    let answer = app.post("/admin/login", json!({"username": username, "password": PASSWORD})).await;
    assert_eq!(answer["code"], 200, "{answer}");
    answer["data"]["token"].as_str().unwrap().to_owned()
}

fn with(request: RequestBuilder, token: Option<&str>) -> RequestBuilder {
    match token {
        Some(token) => request.bearer_auth(token),
        None => request,
    }
}

async fn status(request: RequestBuilder) -> u16 {
    request.send().await.unwrap().status().as_u16()
}

#[tokio::test]
async fn nobody_logs_in_until_there_is_an_account() {
    let app = TestApp::start().await;
    let (_, before) = send(call(&app, Method::GET, "/session")).await;
    let shown = json!({"mode": "auto", "accounts": false, "claim": false, "username": null, "role": "admin"});
    assert_eq!(before, shown);
    assert_eq!(app.get("/health").await["auth"], "auto");
    // The first account cannot be one that locks everybody out.
    let small = json!({"username": "me", "password": PASSWORD, "role": "viewer"});
    let (refused, problem) = send(call(&app, Method::POST, "/accounts").json(&small)).await;
    assert_eq!((refused, named(&problem)), (422, vec!["role"]));
    let body = json!({"username": " me ", "password": PASSWORD, "role": "admin"});
    let answer = call(&app, Method::POST, "/accounts").json(&body).send().await.unwrap();
    assert_eq!(answer.status(), 201);
    let cookie = answer.headers()[header::SET_COOKIE].to_str().unwrap().to_owned();
    for part in ["tj_session=tjs_", "HttpOnly", "SameSite=Strict", "Path=/", "Max-Age=604800"] {
        assert!(cookie.contains(part), "{cookie}");
    }
    // From now on.
    for path in ["/jobs/list", "/api/v1/jobs", "/docs/", "/openapi.json", "/metrics", "/redoc"] {
        assert_eq!(status(get(&app, path)).await, 401, "{path}");
    }
    for path in ["/", "/health", "/api/v1/session"] {
        assert_eq!(status(get(&app, path)).await, 200, "{path}");
    }
    let (refused, envelope) = send(get(&app, "/jobs/list")).await;
    assert_eq!((refused, &envelope["code"]), (401, &json!(401)));
    let session = cookie.split(';').next().unwrap();
    let cookies = format!("a=b; {session}");
    let (_, after) = send(call(&app, Method::GET, "/session").header("Cookie", cookies)).await;
    assert_eq!((&after["username"], &after["role"]), (&json!("me"), &json!("admin")));
    // Logging out ends the session itself, not only the cookie.
    let answer = call(&app, Method::DELETE, "/session").header("Cookie", session).send().await.unwrap();
    assert_eq!(answer.status(), 204);
    assert!(answer.headers()[header::SET_COOKIE].to_str().unwrap().contains("Max-Age=0"));
    assert_eq!(status(call(&app, Method::GET, "/jobs").header("Cookie", session)).await, 401);
}

#[tokio::test]
async fn every_route_asks_for_its_role() {
    let app = TestApp::start().await;
    let document = app.get("/openapi.json").await;
    let admin = account(&app, None, "admin", "admin").await;
    let operator = account(&app, Some(&admin), "operator", "operator").await;
    let viewer = account(&app, Some(&admin), "viewer", "viewer").await;
    let order = ["viewer", "operator", "admin"];
    let mut open = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let needed = match &operation["x-role"] {
                Value::Null => {
                    open.push(format!("{} {path}", method.to_uppercase()));
                    continue;
                }
                role => order.iter().position(|r| role == r).unwrap_or_else(|| panic!("{path}: {role}")),
            };
            let filled = ["id", "name", "list", "entry"]
                .iter()
                .fold(path.clone(), |path, name| path.replace(&format!("{{{name}}}"), "0"));
            let method: Method = method.to_uppercase().parse().unwrap();
            let ask = async |token: Option<&str>| {
                let request = app.http.request(method.clone(), format!("{}{filled}", app.url));
                status(with(request, token)).await
            };
            assert_eq!(ask(None).await, 401, "{method} {path}");
            assert_eq!(ask(Some("tjs_nonsense")).await, 401, "{method} {path}");
            for (level, token) in [&viewer, &operator].into_iter().enumerate().filter(|(l, _)| *l < needed) {
                assert_eq!(ask(Some(token)).await, 403, "{method} {path} as {}", order[level]);
            }
            // A stream does not end.
            if method == Method::GET && !path.ends_with("/live") && path != "/api/v1/events" {
                let passed = ask(Some([&viewer, &operator, &admin][needed])).await;
                assert!(passed != 401 && passed != 403, "{method} {path}: {passed}");
            }
        }
    }
    let mut wanted = [
        "POST /admin/login",
        "GET /api/v1/session",
        "POST /api/v1/session",
        "DELETE /api/v1/session",
        "POST /api/v1/session/claim",
        "GET /health",
    ]
    .map(str::to_owned)
    .to_vec();
    open.sort();
    wanted.sort();
    assert_eq!(open, wanted, "a route that asks for nothing is named here");
}

/// Sends it as it is written; gives back the status.
async fn raw(app: &TestApp, method: &str, path: &str, token: Option<&str>) -> u16 {
    use std::io::{Read, Write};
    let auth = token.map(|t| format!("Authorization: Bearer {t}\r\n")).unwrap_or_default();
    let text = format!(
        "{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n{auth}X-HTTP-Method-Override: GET\r\n\
         Content-Length: 0\r\nConnection: close\r\n\r\n"
    );
    let address = app.url.trim_start_matches("http://").to_owned();
    let ask = move || {
        let mut stream = std::net::TcpStream::connect(address).unwrap();
        stream.write_all(text.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok();
        answer.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0)
    };
    tokio::task::spawn_blocking(ask).await.unwrap()
}

#[tokio::test]
async fn no_way_of_writing_a_path_gets_around() {
    let app = TestApp::start().await;
    let admin = account(&app, None, "admin", "admin").await;
    let viewer = account(&app, Some(&admin), "viewer", "viewer").await;
    for path in [
        "/jobs/list",
        "//jobs/list",
        "/JOBS/LIST",
        "/jobs//list",
        "/jobs/list/",
        "/jobs/./list",
        "/x/../jobs/list",
        "/jobs%2flist",
        "/%6aobs/list",
        "/jobs/list;x=1",
        "/jobs/list?x",
        "/jobs/list%00",
        "/health/../jobs/list",
        "/api/v1/session/../jobs",
        "/api/v1/jobs/",
        "/api/v1//jobs",
        "http://127.0.0.1/jobs/list",
    ] {
        for method in ["GET", "HEAD", "POST", "OPTIONS", "PUT"] {
            let got = raw(&app, method, path, None).await;
            assert!([400, 401, 403, 404, 405].contains(&got), "{method} {path}: {got}");
        }
        let got = raw(&app, "POST", &path.replace("list", "stopAll"), Some(&viewer)).await;
        assert!([400, 403, 404, 405].contains(&got), "{path} as a viewer: {got}");
    }
}

#[tokio::test]
async fn a_password_is_tried_ten_times_a_minute() {
    let app = TestApp::with(&[("TRUSTED_PROXIES", "127.0.0.1"), ("IP_WHITELIST", "")]).await;
    account(&app, None, "owner", "admin").await;
    let attempt = async |from: &str, password: &str| {
        let body = json!({"username": "owner", "password": password});
        let request = call(&app, Method::POST, "/session").header("X-Forwarded-For", from.to_owned());
        request.json(&body).send().await.unwrap()
    };
    for _ in 0..10 {
        assert_eq!(attempt("9.9.9.9", "wrong password").await.status(), 401);
    }
    let refused = attempt("9.9.9.9", PASSWORD).await;
    assert_eq!((refused.status().as_u16(), &refused.headers()["retry-after"]), (429, &"60".parse().unwrap()));
    // The owner, from elsewhere, is not held up by it.
    assert_eq!(attempt("8.8.8.8", PASSWORD).await.status(), 200);
    app.advance(60);
    assert_eq!(attempt("9.9.9.9", PASSWORD).await.status(), 200);
}

#[tokio::test]
async fn without_a_login_only_named_addresses_are_the_owner() {
    for (white, from, wanted) in
        [("", "9.9.9.9", 403), ("", "127.0.0.1", 200), ("9.9.9.0/24", "9.9.9.9", 200), ("", "::1", 200)]
    {
        let app = TestApp::with(&[("TRUSTED_PROXIES", "127.0.0.1"), ("IP_WHITELIST", white)]).await;
        let request = get(&app, "/jobs/list").header("X-Forwarded-For", from);
        assert_eq!(status(request).await, wanted, "{white:?} {from}");
    }
    let open = [("TRUSTED_PROXIES", "127.0.0.1"), ("IP_WHITELIST", ""), ("AUTH", "off")];
    let app = TestApp::with(&open).await;
    assert_eq!(status(get(&app, "/jobs/list").header("X-Forwarded-For", "9.9.9.9")).await, 200);
}

#[tokio::test]
async fn accounts_are_changed_and_the_last_admin_stays() {
    let app = TestApp::start().await;
    let admin = account(&app, None, "admin", "admin").await;
    let viewer = account(&app, Some(&admin), "viewer", "viewer").await;
    let (_, all) = send(call(&app, Method::GET, "/accounts").bearer_auth(&admin)).await;
    assert!(!all.to_string().contains("argon2"), "{all}");
    let place = |name: &str| {
        let items = all["items"].as_array().unwrap();
        format!("/accounts/{}", items.iter().find(|a| a["username"] == name).unwrap()["id"])
    };
    let change = async |name: &str, body: Value| {
        send(call(&app, Method::PATCH, &place(name)).bearer_auth(&admin).json(&body)).await
    };
    for body in [json!({"enabled": false}), json!({"role": "operator"})] {
        assert_eq!(change("admin", body).await.0, 409);
    }
    assert_eq!(status(call(&app, Method::DELETE, &place("admin")).bearer_auth(&admin)).await, 409);
    // A new role counts at once; a disabled account is out at once.
    let stop_all = async || status(post(&app, "/jobs/stopAll").bearer_auth(&viewer)).await;
    assert_eq!(stop_all().await, 403);
    assert_eq!(change("viewer", json!({"role": "operator"})).await.0, 200);
    assert_eq!(stop_all().await, 200);
    assert_eq!(change("viewer", json!({"enabled": false})).await.0, 200);
    assert_eq!(stop_all().await, 401);
    let make = |body: Value| send(call(&app, Method::POST, "/accounts").bearer_auth(&admin).json(&body));
    let (refused, problem) = make(json!({"username": "other", "password": "qwertz!"})).await;
    assert_eq!((refused, named(&problem)), (422, vec!["password"]));
    assert!(!problem.to_string().contains("qwertz"), "a password is not sent back: {problem}");
    assert_eq!(make(json!({"username": "viewer", "password": PASSWORD})).await.0, 409);
    assert_eq!(status(call(&app, Method::DELETE, &place("viewer")).bearer_auth(&admin)).await, 204);
}

#[tokio::test]
async fn a_token_does_no_more_than_its_role_and_ends() {
    let app = TestApp::start().await;
    let admin = account(&app, None, "admin", "admin").await;
    let make = |body: Value| send(call(&app, Method::POST, "/tokens").bearer_auth(&admin).json(&body));
    let (made_status, made) = make(json!({"name": "backup script", "role": "operator", "days": 1})).await;
    assert_eq!(made_status, 201);
    let token = made["token"].as_str().unwrap();
    assert!(token.starts_with("tjt_"));
    assert_eq!(status(post(&app, "/jobs/stopAll").bearer_auth(token)).await, 200);
    let add = post(&app, "/api/v1/jobs").json(&draft(json!({}))).bearer_auth(token);
    assert_eq!(status(add).await, 403);
    let (_, tokens) = send(call(&app, Method::GET, "/tokens").bearer_auth(&admin)).await;
    let shown = &tokens["items"][0];
    let names = ["name", "role", "kind"].map(|name| shown[name].as_str().unwrap());
    assert_eq!(names, ["backup script", "operator", "token"]);
    assert!(shown["last_used"].is_string() && !tokens.to_string().contains(token), "{tokens}");
    assert_eq!(tokens["items"][1]["current"], true);
    app.advance(86_400);
    assert_eq!(status(get(&app, "/jobs/list").bearer_auth(token)).await, 401, "it has expired");
    let (_, made) = make(json!({"name": "another"})).await;
    let another = made["token"].as_str().unwrap();
    assert_eq!(status(get(&app, "/jobs/list").bearer_auth(another)).await, 200);
    let ended = call(&app, Method::DELETE, &format!("/tokens/{}", made["id"])).bearer_auth(&admin);
    assert_eq!(status(ended).await, 204);
    assert_eq!(status(get(&app, "/jobs/list").bearer_auth(another)).await, 401);
}

#[tokio::test]
async fn a_new_password_ends_what_the_old_one_opened() {
    let app = TestApp::start().await;
    let first = account(&app, None, "admin", "admin").await;
    let second = login(&app, "admin").await;
    let change = |old: &str, new: &str| {
        let body = json!({"password": old, "new_password": new});
        send(call(&app, Method::POST, "/session/password").bearer_auth(&first).json(&body))
    };
    assert_eq!(named(&change("wrong password", "another horse").await.1), ["password"]);
    assert_eq!(named(&change(PASSWORD, "admin").await.1), ["new_password"]);
    assert_eq!(change(PASSWORD, "another horse").await.0, 200);
    for token in [&first, &second] {
        assert_eq!(status(get(&app, "/jobs/list").bearer_auth(token)).await, 401);
    }
    let answer = app.post("/admin/login", json!({"username": "admin", "password": "another horse"})).await;
    assert_eq!(answer["code"], 200);
}

#[tokio::test]
async fn required_asks_for_the_claim_code_first() {
    let app = TestApp::with(&[("AUTH", "required")]).await;
    assert_eq!(status(get(&app, "/jobs/list")).await, 401);
    let (_, session) = send(call(&app, Method::GET, "/session")).await;
    assert_eq!((&session["claim"], &session["role"]), (&json!(true), &Value::Null));
    let file = app.folder().join("data").join("claim-code");
    let code = std::fs::read_to_string(&file).unwrap().trim().to_owned();
    let claim = async |code: &str| {
        let body = json!({"code": code, "username": "me", "password": PASSWORD});
        call(&app, Method::POST, "/session/claim").json(&body).send().await.unwrap()
    };
    assert_eq!(claim("guess").await.status(), 422);
    let claimed = claim(&code).await;
    assert_eq!(claimed.status(), 200);
    assert!(claimed.headers().contains_key(header::SET_COOKIE) && !file.exists());
    assert_eq!(claim(&code).await.status(), 422, "it works once");
}

#[tokio::test]
async fn the_older_editions_calls_of_accounts_work() {
    let app = TestApp::start().await;
    let made = app.post("/admin/register", json!({"username": "me", "password": PASSWORD})).await;
    assert_eq!((&made["code"], &made["data"]["id"]), (&json!(200), &json!(1)));
    let token = login(&app, "me").await;
    let ask = async |request: RequestBuilder| send(request.bearer_auth(&token)).await.1;
    let profile = ask(get(&app, "/admin/profile")).await;
    let user = &profile["data"];
    assert_eq!(
        (&user["username"], &user["role"], &user["status"]),
        (&json!("me"), &json!("admin"), &json!(1))
    );
    let other = json!({"username": "other", "password": PASSWORD, "role": "viewer"});
    assert_eq!(ask(post(&app, "/admin/register").json(&other)).await["code"], 200);
    assert_eq!(
        ask(post(&app, "/admin/profile").json(&json!({"email": "me@example.com"}))).await["code"],
        200
    );
    let list = ask(get(&app, "/admin/list?size=1")).await;
    assert_eq!((&list["total"], &list["data"][0]["email"]), (&json!(2), &json!("me@example.com")));
    assert_eq!(ask(post(&app, "/admin/status").json(&json!({"id": 2, "status": 0}))).await["code"], 200);
    let refused = post(&app, "/admin/login").json(&json!({"username": "other", "password": PASSWORD}));
    assert_eq!(send(refused).await.0, 401);
    assert_eq!(ask(post(&app, "/admin/status").json(&json!({"id": 1, "status": 0}))).await["code"], 409);
    assert_eq!(ask(post(&app, "/admin/delete").json(&json!({"id": 2}))).await["code"], 200);
    assert_eq!(ask(post(&app, "/admin/delete").json(&json!({"id": 2}))).await["code"], 404);
}

#[tokio::test]
async fn nobody_makes_a_token_that_may_do_more() {
    let app = TestApp::start().await;
    let admin = account(&app, None, "admin", "admin").await;
    let operator = account(&app, Some(&admin), "operator", "operator").await;
    let make = async |by: &str, role: &str| {
        let body = json!({"name": "ci", "role": role});
        send(call(&app, Method::POST, "/tokens").bearer_auth(by).json(&body)).await
    };
    let (refused, problem) = make(&operator, "admin").await;
    assert_eq!((refused, named(&problem)), (422, vec!["role"]), "{problem}");
    let (made, token) = make(&admin, "viewer").await;
    assert_eq!(made, 201, "{token}");
    // A token makes none at all, or one that leaked for a day would last; it can end itself only.
    let viewer = token["token"].as_str().unwrap();
    assert_eq!(make(viewer, "operator").await.0, 403);
    assert_eq!(make(viewer, "viewer").await.0, 403);
    let (_, other) = make(&admin, "viewer").await;
    let delete = async |id: &Value| {
        let request = call(&app, Method::DELETE, &format!("/tokens/{id}")).bearer_auth(viewer);
        request.send().await.unwrap().status()
    };
    assert_eq!(delete(&other["id"]).await, 403);
    assert_eq!(delete(&token["id"]).await, 204);
}
