//! How the texts of annotations are read.

use planescape_agent_contract::{Engine, Output};

/// Go's booleans, and nothing for false.
pub(super) fn boolean(text: &str) -> Result<bool, String> {
    match text {
        "1" | "t" | "T" | "TRUE" | "true" | "True" => Ok(true),
        "" | "0" | "f" | "F" | "FALSE" | "false" | "False" => Ok(false),
        _ => Err(format!("`{text}` is not a boolean: write true or false")),
    }
}

/// The language of a template.
pub(super) fn engine(text: &str) -> Result<Engine, String> {
    let known = Engine::NAMES.join(" or ");
    Engine::named(text).ok_or_else(|| format!("`{text}` is not a template engine: write {known}"))
}

/// Parses how a rendered text becomes the file.
pub(super) fn output(text: &str) -> Result<Output, String> {
    let known = Output::NAMES.join(" or ");
    Output::named(text).ok_or_else(|| format!("`{text}` is not an output: write {known}"))
}

/// A whole number, and nothing for zero.
pub(super) fn integer(text: &str) -> Result<i64, String> {
    if text.is_empty() {
        return Ok(0);
    }
    text.parse()
        .map_err(|_| format!("`{text}` is not a whole number"))
}

/// The id of a user or group.
pub(super) fn id(text: &str) -> Result<i64, String> {
    let id = integer(text)?;
    if (0..=i64::from(i32::MAX)).contains(&id) {
        Ok(id)
    } else {
        Err(format!("`{text}` is not a user or group id"))
    }
}

/// A finite number.
pub(super) fn number(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(number) if number.is_finite() => Ok(number),
        Ok(_) | Err(_) => Err(format!("`{text}` is not a number")),
    }
}

/// A Go duration, such as `1m30s`, returned as it is written.
pub(super) fn duration(text: &str) -> Result<String, String> {
    let error = || format!("`{text}` is not a duration: write for example 90s or 1h30m");
    let mut rest = text;
    if rest == "0" {
        return Ok(text.to_owned());
    }
    if rest.is_empty() {
        return Err(error());
    }
    while !rest.is_empty() {
        let digits = rest
            .find(|letter: char| !letter.is_ascii_digit() && letter != '.')
            .ok_or_else(error)?;
        rest[..digits].parse::<f64>().map_err(|_| error())?;
        rest = &rest[digits..];
        let unit = ["ns", "us", "µs", "ms", "s", "m", "h"]
            .into_iter()
            .filter(|unit| rest.starts_with(unit))
            .max_by_key(|unit| unit.len())
            .ok_or_else(error)?;
        rest = &rest[unit.len()..];
    }
    Ok(text.to_owned())
}

/// A file mode in octal, returned as it is written.
pub(super) fn file_mode(text: &str) -> Result<String, String> {
    match u32::from_str_radix(text, 8) {
        Ok(mode) if mode <= 0o777 && !text.starts_with('+') => Ok(text.to_owned()),
        Ok(_) | Err(_) => Err(format!(
            "`{text}` is not a file mode: write it in octal, for example 0400"
        )),
    }
}

/// A Kubernetes quantity, returned as it is written.
pub(super) fn quantity(text: &str) -> Result<String, String> {
    if amount(text).is_some() {
        Ok(text.to_owned())
    } else {
        Err(format!(
            "`{text}` is not a quantity: write for example 100m or 64Mi"
        ))
    }
}

const UNITS: [(&str, f64); 16] = [
    ("", 1.0),
    ("n", 1e-9),
    ("u", 1e-6),
    ("m", 1e-3),
    ("k", 1e3),
    ("M", 1e6),
    ("G", 1e9),
    ("T", 1e12),
    ("P", 1e15),
    ("E", 1e18),
    ("Ki", 1024.0),
    ("Mi", 1_048_576.0),
    ("Gi", 1_073_741_824.0),
    ("Ti", 1_099_511_627_776.0),
    ("Pi", 1_125_899_906_842_624.0),
    ("Ei", 1_152_921_504_606_846_976.0),
];

/// How much a Kubernetes quantity is; none where the text is no quantity.
pub(super) fn amount(text: &str) -> Option<f64> {
    let unsigned = text.strip_prefix('+').unwrap_or(text);
    let digits = unsigned
        .find(|letter: char| !letter.is_ascii_digit() && letter != '.')
        .unwrap_or(unsigned.len());
    let (number, suffix) = unsigned.split_at(digits);
    let number: f64 = number.parse().ok()?;
    let exponent = suffix.strip_prefix(['e', 'E']);
    let exponent = exponent.and_then(|exponent| exponent.parse::<i8>().ok());
    let unit = UNITS.iter().find(|(unit, _)| *unit == suffix);
    let factor = match (exponent, unit) {
        (Some(exponent), _) => 10_f64.powi(exponent.into()),
        (None, Some((_, factor))) => *factor,
        (None, None) => return None,
    };
    Some(number * factor)
}

/// An absolute path without `..`, without a slash at its end.
pub(super) fn absolute_path(text: &str) -> Result<String, String> {
    let path = text.trim_end_matches('/');
    if !path.starts_with('/') || path.split('/').any(|part| part == "..") {
        return Err(format!(
            "`{text}` is not an absolute path without `..`: write for example /vault/secrets"
        ));
    }
    Ok(path.to_owned())
}

/// An address of Vault, returned as it is written, without blanks around it: a block of YAML ends with a line end.
pub(super) fn address(text: &str) -> Result<String, String> {
    let text = text.trim();
    let is_host = |host: &str| {
        let is_blank = host.contains(char::is_whitespace);
        !host.is_empty() && !host.starts_with(['/', ':']) && !is_blank
    };
    let example = match text.split_once("://") {
        Some((scheme, host)) => {
            let mut known = ["https", "http"].iter();
            if known.any(|known| scheme.eq_ignore_ascii_case(known)) && is_host(host) {
                return Ok(text.to_owned());
            }
            None
        }
        None => is_host(text).then(|| format!("write https://{text}")),
    };
    let example =
        example.unwrap_or_else(|| "write for example https://vault.vault.svc:8200".to_owned());
    Err(format!("`{text}` is not an address: {example}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_booleans_that_go_reads() {
        assert_eq!(boolean("T"), Ok(true));
        assert_eq!(boolean(""), Ok(false));
        for text in ["yes", "on", "tRuE", " true"] {
            assert!(boolean(text).is_err(), "{text}");
        }
    }

    #[test]
    fn reads_an_address_whose_scheme_is_written_in_any_case() {
        for text in ["https://vault:8200", "HTTP://vault"] {
            assert_eq!(address(text).as_deref(), Ok(text));
            assert_eq!(address(&format!(" {text}\n")).as_deref(), Ok(text));
        }
        for (text, cure) in [
            ("vault:8200", "write https://vault:8200"),
            ("ftp://vault", "write for example https://"),
            ("http://", "write for example https://"),
            ("https://:8200", "write for example https://"),
            ("https://vault :8200", "write for example https://"),
            ("", "write for example https://"),
        ] {
            let message = address(text).unwrap_err();
            assert!(message.contains(cure), "{message}");
        }
    }

    #[test]
    fn reads_durations_with_units_only() {
        for text in ["300ms", "1m30s", "1.5h", "0"] {
            assert!(duration(text).is_ok(), "{text}");
        }
        for text in ["", "5", "1d", "-1s", "s", "1h30", "1..5s", "."] {
            assert!(duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn reads_file_modes_in_octal_only() {
        for text in ["0400", "644", "0"] {
            assert!(file_mode(text).is_ok(), "{text}");
        }
        for text in ["", "0888", "rw", "7777", "-1", "+400"] {
            assert!(file_mode(text).is_err(), "{text}");
        }
    }

    #[test]
    fn reads_quantities_as_kubernetes_does() {
        for text in ["250m", "1.5Gi", "64Mi", "1e3", "2", "0.5"] {
            assert!(quantity(text).is_ok(), "{text}");
        }
        for text in ["", "64MB", "lots", "1.2.3", "1 Gi", "e3"] {
            assert!(quantity(text).is_err(), "{text}");
        }
        for (less, more) in [("999m", "1"), ("64M", "64Mi"), ("1e3", "2k"), ("1E", "1Ei")] {
            assert!(amount(less) < amount(more), "{less} {more}");
        }
    }

    #[test]
    fn reads_absolute_paths_only() {
        assert_eq!(absolute_path("/app/"), Ok("/app".into()));
        for text in ["", "app", "/app/../etc", "/.."] {
            assert!(absolute_path(text).is_err(), "{text}");
        }
    }

    #[test]
    fn reads_ids_that_linux_has() {
        assert_eq!(id("999"), Ok(999));
        for text in ["root", "-1", "4294967296"] {
            assert!(id(text).is_err(), "{text}");
        }
    }
}
