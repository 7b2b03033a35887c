use crate::ListenAddress;
use crate::validate::tests::{accept, refuse};

#[test]
fn a_listener_needs_a_port_and_no_host() {
    let listener = |address: &str| {
        format!("listener \"tcp\" {{ address = \"{address}\" tls_disable = true }}")
    };

    for address in [":8100", "localhost:8100", "[::1]:8100"] {
        let read = accept(&listener(address));
        let at = ListenAddress::Tcp(address.to_owned());
        assert_eq!(read.proxy.listeners[0].address, at);
    }
    for address in [
        "127.0.0.1",
        "8100",
        "127.0.0.1:",
        "127.0.0.1:70000",
        "{{ GetPrivateIP }}:1",
    ] {
        let problems = refuse(&listener(address));
        assert!(
            problems[0].starts_with("listener[0].address: "),
            "{problems:?}"
        );
    }
}
