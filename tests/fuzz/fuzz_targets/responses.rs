//! Any bytes are a document of answers or none, and a template renders with whatever is in it, or fails.

#![no_main]

use libfuzzer_sys::fuzz_target;
use planescape_templates::responses::Responses;
use planescape_templates::{Environment, Options, Template};

const TEXT: &[u8] = b"{{with secret `kv/app`}}{{.Data.data.user}}{{toYAML .}}{{toTOML .Data}}{{end}}\
    {{range secrets `kv/`}}{{.}}{{with secret (print `kv/` .)}}{{.Data}}{{end}}{{end}}\
    {{with secret `pki/issue/web` `common_name=a.example`}}{{toJSON .}}{{end}}\
    {{with pkiCert `pki/issue/web` `common_name=b.example`}}{{.Key}}{{.Cert}}{{end}}";

fuzz_target!(|document: &[u8]| {
    let template = Template::parse(TEXT, &Options::default()).expect("it parses");
    if let Ok(responses) = Responses::from_json(document) {
        let _ = responses.render(&template, &Environment::default(), |_| Err("no files".into()));
    }
});
