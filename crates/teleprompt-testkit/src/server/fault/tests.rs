use super::*;

#[test]
fn what_is_to_be_answered_still_says_it() {
    let answer = Answer::text("Grüße, \"Welt\"!\n").with_finish(Finish::Stop);
    for wire in Wire::ALL {
        for fault in Fault::all(Duration::from_millis(1)) {
            for stream in [false, true] {
                let response = fault.response(wire, &answer, stream);
                let usable = fault.expected() == Expected::Answer || fault.is_stall();
                assert_eq!(response.answers, usable, "{wire:?} {fault:?}");
                if usable && !stream {
                    let body: Value = serde_json::from_str(&response.body()).unwrap();
                    assert!(body.to_string().contains(r#"Grüße, \"Welt\"!\n"#), "{fault:?}");
                }
            }
        }
    }
}

#[test]
fn odd_events_have_the_same_data() {
    for wire in Wire::ALL {
        let answer = Answer::text("Grüße");
        let data = |body: &str| {
            let body = body.replace("\r\n", "\n");
            let events = body.split("\n\n").map(|event| {
                let lines = event.lines().filter_map(|l| l.strip_prefix("data:"));
                lines.map(str::trim_start).collect::<Vec<_>>().join("\n")
            });
            let read = |d: String| serde_json::from_str(&d).unwrap_or(Value::String(d));
            events.filter(|d| !d.is_empty()).map(read).collect::<Vec<Value>>()
        };
        let plain = data(&wire.events(&answer));
        for fault in [Fault::OddLines, Fault::DuplicateIds, Fault::SplitCharacters] {
            let odd = data(&fault.response(wire, &answer, true).body());
            assert_eq!(odd, plain, "{wire:?} {fault:?}");
        }
    }
}

#[test]
fn statuses_and_headers() {
    let answer = Answer::text("x");
    let cases: &[(Fault, u16, Option<&str>)] = &[
        (Fault::RateLimit { retry_after: 7 }, 429, Some("7")),
        (Fault::RateLimitMillis { retry_after: 1500 }, 429, Some("2")),
        (Fault::ServerError, 500, None),
        (Fault::BadGateway, 502, None),
        (Fault::Unavailable, 503, None),
        (Fault::Overloaded, 529, None),
        (Fault::BadRequest, 400, None),
        (Fault::Unauthorised, 401, None),
        (Fault::Forbidden, 403, None),
        (Fault::NotFound, 404, None),
        (Fault::HtmlOk, 200, None),
    ];
    for (fault, status, after) in cases {
        for wire in Wire::ALL {
            let response = fault.response(wire, &answer, false);
            assert_eq!(response.status, *status, "{fault:?}");
            let found = response.headers.iter().find(|(n, _)| n == "retry-after");
            assert_eq!(found.map(|(_, v)| v.as_str()), *after, "{fault:?}");
        }
    }
}

#[test]
fn nothing_is_said_where_there_is_no_choice() {
    for wire in Wire::ALL {
        for stream in [false, true] {
            let body = Fault::EmptyChoices.response(wire, &Answer::text("hidden"), stream).body();
            assert!(!body.contains("hidden") && !body.contains("delta\":{\"content"), "{body}");
        }
    }
}
