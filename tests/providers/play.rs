//! Sends a fixture's requests and gathers what is wrong with the answers.

use std::collections::BTreeMap;

use reqwest::Method;
use serde_json::{Value, json};

use super::expectation::filled;
use super::fixture::{Fixture, Step};
use crate::harness::System;
use crate::harness::scim::{Answer, Scim, send};

/// Plays a provider in one workspace.
pub(crate) struct Player<'a> {
    system: &'a System,
    scim: Scim,
    /// What steps kept, by name.
    kept: BTreeMap<String, String>,
    last_body: Value,
    faults: Vec<String>,
}

impl<'a> Player<'a> {
    pub(crate) fn new(system: &'a System) -> Self {
        let scim = system.scim();
        let token = system.token().to_owned();
        let kept = BTreeMap::from([("base_url".to_owned(), scim.base_url.clone()), ("token".to_owned(), token)]);
        Self { system, scim, kept, last_body: Value::Null, faults: Vec::new() }
    }

    /// Plays every step; what goes wrong is gathered, so that one run shows all of it.
    pub(crate) async fn play(&mut self, fixture: &Fixture) {
        if let Some(dialect) = &fixture.dialect {
            self.system.rosterd(&["workspace", "dialect", "acme", dialect]).await.expect_success();
        }
        for step in &fixture.steps {
            let faults = self.step(fixture, step).await;
            let at = format!("{}, {}", fixture.name, step.what);
            self.faults.extend(faults.iter().map(|fault| format!("{at}: {fault}")));
        }
    }

    /// Fails if anything went wrong, with all of it.
    #[track_caller]
    pub(crate) fn expect_no_faults(self) {
        assert!(self.faults.is_empty(), "\n{}", self.faults.join("\n"));
    }

    async fn step(&mut self, fixture: &Fixture, step: &Step) -> Vec<String> {
        if let Some((who, zone)) = &step.set_timezone {
            self.system.rosterd(&["user", "set-timezone", "acme", &self.known(who), zone]).await.expect_success();
            return Vec::new();
        }
        let answer = self.send(fixture, step).await;
        let mut faults = step.expect.faults(&answer, &|text| self.known(text));
        if !faults.is_empty() {
            faults.push(format!("the answer was {}", answer.body));
        }
        for (name, pointer) in &step.keep {
            match answer.body.pointer(pointer).and_then(Value::as_str) {
                Some(text) => drop(self.kept.insert(name.clone(), text.to_owned())),
                None => faults.push(format!("no text at {pointer} to keep")),
            }
        }
        self.last_body = answer.body;
        faults
    }

    async fn send(&self, fixture: &Fixture, step: &Step) -> Answer {
        let line = self.known(step.request.as_deref().unwrap_or_else(|| panic!("{}: nothing to do", step.what)));
        let (method, target) = line.split_once(' ').unwrap();
        let method = method.parse::<Method>().unwrap();
        let headers: BTreeMap<&String, &String> = fixture.headers.iter().chain(&step.headers).collect();
        let mut request = if headers.keys().any(|name| *name == "authorization") {
            self.scim.bare(method, target)
        } else {
            self.scim.request(method, target)
        };
        let body = self.body(step);
        // A provider names the type of a body only where there is one.
        for (name, value) in headers.into_iter().filter(|(name, _)| body.is_some() || *name != "content-type") {
            request = request.header(name, self.known(value));
        }
        if let Some(body) = body {
            request = request.body(body.to_string());
        }
        send(request).await
    }

    fn body(&self, step: &Step) -> Option<Value> {
        let known = |text: &str| self.known(text);
        if let Some(changes) = &step.last_body_with {
            let mut body = self.last_body.as_object().cloned().unwrap_or_default();
            body.extend(changes.iter().map(|(name, value)| (name.clone(), filled(value, &known))));
            return Some(json!(body));
        }
        step.body.as_ref().map(|body| filled(body, &known))
    }

    /// A text with what earlier steps kept in place of `{name}`.
    fn known(&self, text: &str) -> String {
        self.kept.iter().fold(text.to_owned(), |text, (name, value)| text.replace(&format!("{{{name}}}"), value))
    }
}
