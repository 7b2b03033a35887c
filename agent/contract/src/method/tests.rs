use super::*;
use crate::reader::{Notes, Reader};
use crate::tree::Tree;

#[test]
fn each_login_says_what_its_method_wants() {
    let cases = [
        (
            "kubernetes",
            r#"role = "r" token_path = "/t""#,
            &["a.b.c\n"][..],
            r#"login {"jwt":"a.b.c","role":"r"}"#,
        ),
        (
            "jwt",
            r#"role = "r" path = "/t""#,
            &["a.b.c\n"],
            r#"login {"jwt":"a.b.c\n","role":"r"}"#,
        ),
        (
            "approle",
            r#"role_id_file_path = "/r" secret_id_file_path = "/s""#,
            &["role\n", " secret "],
            r#"login {"role_id":"role","secret_id":"secret"}"#,
        ),
        (
            "approle",
            r#"role_id_file_path = "/r""#,
            &["role"],
            r#"login {"role_id":"role"}"#,
        ),
        (
            "ldap",
            r#"username = "ann" password_file_path = "/p""#,
            &["pass "],
            r#"login/ann {"password":"pass "}"#,
        ),
        ("cert", r#"name = "web""#, &[], r#"login {"name":"web"}"#),
        ("cert", "", &[], "login {}"),
        (
            "token_file",
            r#"token_file_path = "/t""#,
            &["t\n"],
            "token t",
        ),
    ];
    for (kind, settings, contents, expected) in cases {
        let (method, problems) = read(kind, settings);

        assert_eq!(problems, [""; 0], "{kind}");
        let contents = contents.iter().map(|it| Body::new(it.as_bytes().to_vec()));
        let contents: Vec<Body> = contents.collect();
        assert_eq!(said(&method.proof(&contents).unwrap()), expected);
        assert_eq!(method.materials().len(), contents.len(), "{kind}");
    }
}

#[test]
fn a_file_that_holds_nothing_of_use_is_named() {
    for (contents, reason) in [(&b" \n"[..], "is empty"), (&b"\xff"[..], "is not text")] {
        let contents = [Body::new(contents.to_vec())];

        let error = Method::Kubernetes(Kubernetes::default()).proof(&contents);

        let error = error.unwrap_err();
        assert_eq!(error.reason, reason);
        assert_eq!(error.path, Kubernetes::DEFAULT_TOKEN_PATH);
    }
}

#[test]
fn what_a_method_cannot_do_without_is_asked_for() {
    let cases = [
        ("kubernetes", "", "config.role: missing 'role' value"),
        ("jwt", r#"role = "r""#, "config.path: missing 'path' value"),
        (
            "jwt",
            r#"role = "r" path = "/p" jwt_read_period = 0"#,
            "config.jwt_read_period: must be longer than nothing: write for example \"1m\"",
        ),
        (
            "approle",
            "",
            "config.role_id_file_path: missing 'role_id_file_path' value",
        ),
        (
            "approle",
            r#"role_id_file_path = "/r" secret_id_file_path = "/s" secret_id_response_wrapping_path = """#,
            "config.secret_id_response_wrapping_path: is empty: name the path, or remove it",
        ),
        (
            "cert",
            r#"client_cert = "/c""#,
            "config.client_key: is missing: client_cert needs it",
        ),
        (
            "gcp",
            r#"type = "pigeon" role = "r""#,
            "config.type: unknown type \"pigeon\": write gce or iam",
        ),
        (
            "gcp",
            r#"type = "iam" role = "r" jwt_exp = -1"#,
            "config.jwt_exp: is not a number of minutes: write for example 15",
        ),
        (
            "aws",
            r#"type = "iam" role = "r" access_key = "a""#,
            "config.secret_key: access_key and secret_key go together",
        ),
        (
            "aws",
            r#"type = "pigeon" role = "r""#,
            "config.type: unknown type \"pigeon\": write iam or ec2",
        ),
        (
            "azure",
            r#"role = "r" resource = "x" object_id = "o" client_id = "c""#,
            "config.client_id: only one of object_id and client_id can be given",
        ),
        (
            "token_file",
            "",
            "config.token_file_path: missing 'token_file_path' value",
        ),
    ];
    for (kind, settings, expected) in cases {
        assert_eq!(read(kind, settings).1, [expected], "{kind}");
    }
}

#[test]
fn a_key_of_google_is_json_or_a_file_and_is_not_shown() {
    let kind = |settings: &str| {
        let settings = format!(r#"type = "iam" role = "r" {settings}"#);
        let (Method::Gcp(gcp), problems) = read("gcp", &settings) else {
            panic!("another method");
        };
        assert_eq!(problems, [""; 0]);
        gcp.kind
    };
    let json = "{\"private_key\": \"s3cr3t\"}";
    let written = json.replace('"', "\\\"");

    let GcpKind::Iam {
        credentials,
        lifetime,
    } = kind(&format!("credentials = \"{written}\" jwt_exp = 5"))
    else {
        panic!("another kind");
    };

    assert_eq!(lifetime, Duration::from_secs(300));
    let shown = format!("{credentials:?}");
    assert!(!shown.contains("s3cr3t"), "{shown}");
    let given = GcpCredentials::Json(SecretText::new(json.to_owned()));
    assert_eq!(credentials, Some(given));
    assert_eq!(
        kind(r#"credentials = "/key.json""#),
        GcpKind::Iam {
            credentials: Some(GcpCredentials::File("/key.json".to_owned())),
            lifetime: Duration::from_secs(900),
        }
    );
}

#[test]
fn files_are_removed_unless_that_is_switched_off() {
    let removals = |settings: &str| {
        let settings = format!(r#"role = "r" path = "/t" {settings}"#);
        let (method, _) = read("jwt", &settings);
        (method.materials()[0].removal, method.watch().unwrap())
    };

    let quick = Duration::from_millis(500);
    assert_eq!(removals(""), (Removal::Name, quick));
    assert_eq!(
        removals("remove_jwt_follows_symlinks = true"),
        (Removal::Target, quick)
    );
    assert_eq!(
        removals("remove_jwt_after_reading = false"),
        (Removal::Never, Duration::from_secs(60))
    );
}

#[test]
fn certificates_are_looked_at_where_they_are_read_again() {
    let watch = |settings: &str| {
        read("cert", &format!("ca_cert = \"/ca\" {settings}"))
            .0
            .watch()
    };

    assert_eq!(watch(""), None);
    assert_eq!(watch("reload_period = \"5s\""), None);
    assert_eq!(watch("reload = true"), Some(Duration::from_secs(60)));
    let each = watch("reload = true reload_period = \"5s\"");
    assert_eq!(each, Some(Duration::from_secs(5)));
    assert_eq!(read("cert", "reload = true").0.watch(), None);
}

fn read(kind: &str, settings: &str) -> (Method, Vec<String>) {
    let tree = Tree::parse(&format!("config {{ {settings} }}")).unwrap();
    let notes = Notes::default();
    let method = Method::read(kind, &Reader::new(&tree.root, &notes).block("config"));
    let problems = notes.problems.into_inner();
    let problems = problems.iter().map(ToString::to_string).collect();
    (method.unwrap(), problems)
}

fn said(proof: &Proof) -> String {
    match proof {
        Proof::Login { path, body } => format!("{path} {}", String::from_utf8_lossy(body)),
        Proof::Token(token) => format!("token {}", token.expose()),
        Proof::Cloud(cloud) => format!("{cloud:?}"),
    }
}
