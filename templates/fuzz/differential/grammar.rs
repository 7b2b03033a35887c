//! Random templates: mostly sound, sometimes wrong in type, sometimes broken in syntax.

mod documents;
mod patterns;
mod random;
mod syntax;
mod texts;
mod urls;
mod values;
mod words;

use super::Case;
use random::Random;
use words::{
    Any, Bool, Count, FIELDS, FLOATS, FUNCTIONS, Float, INTS, Int, Kind, LITERALS, List, Map, Name,
    REGEXES, REPLACEMENTS, Signature, Strings, TEXTS, Text, VERBS,
};

struct Writer {
    random: Random,
    variables: Vec<String>,
    budget: usize,
    ranges: usize,
}

/// The case of a number, which tells what it is about.
pub(crate) fn case(seed: u64) -> Case {
    let mut random = Random(seed);
    let strict = random.chance(20);
    let (family, text): (_, Vec<u8>) = match random.below(20) {
        0..=4 => ("program", program(&mut random)),
        5..=8 => ("call", action(values::call(&mut random))),
        9 => ("printf", action(values::formatted(&mut random))),
        10 => ("compare", action(values::compared(&mut random))),
        11 => ("member", action(values::member(&mut random))),
        12 => ("literal", action(syntax::literals(&mut random))),
        13 => ("tokens", syntax::tokens(&mut random)),
        14 => ("blocks", [&syntax::blocks(&mut random)[..], b"."].concat()),
        15 => ("pattern", action(patterns::call(&mut random))),
        16 => ("yaml", {
            let document = documents::yaml(&mut random);
            action(match random.below(3) {
                0 => format!("parseYAML {document} | toYAML"),
                _ => format!("parseYAML {document} | printf \"%#v\""),
            })
        }),
        17 => ("json", {
            let document = documents::json(&mut random);
            let name = random.pick(&[
                "parseJSON",
                "parseJSON",
                "sprig_fromJson",
                "sprig_mustFromJson",
            ]);
            action(format!("{name} {document} | printf \"%#v\""))
        }),
        _ => ("emit", {
            let value = documents::value(&mut random, 3);
            let names = &[
                "toYAML",
                "toYAML",
                "toYAML",
                "toTOML",
                "toTOML",
                "toJSON",
                "toJSONPretty",
                "toUnescapedJSON",
                "sprig_toPrettyJson",
                "sprig_toRawJson",
            ];
            action(format!("{} {value}", random.pick(names)))
        }),
    };
    let mut case = Case {
        seed,
        family,
        text,
        strict,
        ..Case::default()
    };
    if random.chance(3) && !matches!(family, "yaml" | "json" | "emit") {
        (case.text, case.delimiters) = syntax::delimited(&mut random, &case.text);
    }
    if random.chance(3) {
        let patterns = &[
            "sprig_*",
            "*",
            "print",
            "env",
            "*Map*",
            "s*t",
            "to*",
            "p?rseJSON",
            "sprig_list",
            "*JSON",
            "**",
            "",
            "regex*All",
        ];
        case.denied = (0..=random.below(2))
            .map(|_| random.pick(patterns).to_owned())
            .collect();
    }
    case
}

fn action(inner: String) -> Vec<u8> {
    format!("{{{{{inner}}}}}").into_bytes()
}

fn program(random: &mut Random) -> Vec<u8> {
    let mut writer = Writer {
        random: Random(random.below(usize::MAX) as u64),
        variables: Vec::new(),
        budget: 12,
        ranges: 0,
    };
    let mut text = String::new();
    if writer.random.chance(25) {
        text.push_str("{{define \"t1\"}}<{{.}}>{{end}}");
    }
    text.push_str(&writer.list(0));
    let mut bytes = text.into_bytes();
    if writer.random.chance(8) {
        writer
            .random
            .mutate(&mut bytes, b"{}()|.$\"`'-:=,/* \n\tab0");
    }
    bytes
}

impl Writer {
    fn list(&mut self, depth: usize) -> String {
        let mark = self.variables.len();
        let mut out = String::new();
        for _ in 0..=self.random.below(3) {
            if self.budget == 0 {
                break;
            }
            self.budget -= 1;
            out.push_str(self.random.pick(LITERALS));
            out.push_str(&self.action(depth));
        }
        out.push_str(self.random.pick(LITERALS));
        self.variables.truncate(mark);
        out
    }

    fn wrap(&mut self, inner: &str) -> String {
        let left = if self.random.chance(15) { "{{- " } else { "{{" };
        let right = if self.random.chance(15) { " -}}" } else { "}}" };
        let pad = if self.random.chance(50) { " " } else { "" };
        format!("{left}{pad}{inner}{pad}{right}")
    }

    fn action(&mut self, depth: usize) -> String {
        if depth > 3 {
            let expression = self.pipeline(2);
            return self.wrap(&expression);
        }
        match self.random.below(20) {
            0 => self.block("if", depth),
            1 | 2 => self.block("with", depth),
            3 => self.range(depth),
            4 | 5 => self.secret(depth),
            6 => {
                let value = self.pipeline(2);
                let name = format!("$v{}", self.random.below(3));
                self.variables.push(name.clone());
                self.wrap(&format!("{name} := {value}"))
            }
            7 if !self.variables.is_empty() => {
                let at = self.random.below(self.variables.len());
                let name = self.variables[at].clone();
                let value = self.pipeline(2);
                self.wrap(&format!("{name} = {value}"))
            }
            8 => self
                .wrap("/* note */")
                .replace("{{ /*", "{{/*")
                .replace("{{-  /*", "{{- /*"),
            9 => {
                let value = self.pipeline(2);
                self.wrap(&format!("template \"t1\" {value}"))
            }
            10 if self.ranges > 0 => {
                let word = self.random.pick(&["break", "continue"]);
                self.wrap(word)
            }
            11 => self.scratch(),
            12 => self.formatted(),
            13 => self.pattern(),
            _ => {
                let expression = self.pipeline(3);
                self.wrap(&expression)
            }
        }
    }

    fn block(&mut self, word: &str, depth: usize) -> String {
        let condition = self.pipeline(2);
        let mut out = self.wrap(&format!("{word} {condition}"));
        out.push_str(&self.list(depth + 1));
        if self.random.chance(30) {
            let condition = self.pipeline(1);
            out.push_str(&self.wrap(&format!("else {word} {condition}")));
            out.push_str(&self.list(depth + 1));
        }
        if self.random.chance(40) {
            out.push_str(&self.wrap("else"));
            out.push_str(&self.list(depth + 1));
        }
        out.push_str(&self.wrap("end"));
        out
    }

    fn range(&mut self, depth: usize) -> String {
        // Never a number that was computed: the reference would count to any end.
        let over = match self.random.below(5) {
            0 => self
                .random
                .pick(&["3", "0", "(loop 3)", "(len \"ab\")", "$", ".", "nil"])
                .to_owned(),
            1 => self.call(List, 2),
            2 => self.call(Strings, 2),
            3 => self.call(Map, 2),
            _ => self.literal(List),
        };
        let declared = match self.random.below(4) {
            0 => "$e := ",
            1 => "$i, $e := ",
            _ => "",
        };
        let mark = self.variables.len();
        if !declared.is_empty() {
            self.variables.push("$e".to_owned());
        }
        let mut out = self.wrap(&format!("range {declared}{over}"));
        self.ranges += 1;
        out.push_str(&self.list(depth + 1));
        self.ranges -= 1;
        if self.random.chance(30) {
            out.push_str(&self.wrap("else"));
            out.push_str(&self.list(depth + 1));
        }
        self.variables.truncate(mark);
        out.push_str(&self.wrap("end"));
        out
    }

    fn secret(&mut self, depth: usize) -> String {
        let call = self.random.pick(&[
            "secret \"kv/app\"",
            "secret \"kv/data/app\"",
            "secret \"secret/legacy\"",
            "secret \"database/creds/ro\"",
            "secret \"auth/token/create\" \"ttl=1h\"",
            "secret \"pki/issue/web\" \"common_name=a.example\"",
            "$s := secret \"kv/app2\"",
        ]);
        let mut out = self.wrap(&format!("with {call}"));
        for _ in 0..=self.random.below(2) {
            let expression = self.secret_field();
            out.push_str(&self.wrap(&expression));
        }
        out.push_str(&self.list(depth + 1));
        out.push_str(&self.wrap("end"));
        out
    }

    fn secret_field(&mut self) -> String {
        let field = match self.random.below(6) {
            0 => self
                .random
                .pick(&[
                    ".Data",
                    ".LeaseID",
                    ".LeaseDuration",
                    ".Renewable",
                    ".RequestID",
                    ".Warnings",
                    ".Auth.ClientToken",
                    ".Auth.Policies",
                    ".Auth.Metadata.k",
                    ".Data.metadata.version",
                    ".data",
                    ".WrapInfo",
                    ".Auth",
                    ".Data.ca_chain",
                    ".Data.username",
                ])
                .to_owned(),
            1 => format!(".Data.{}", self.random.pick(FIELDS)),
            _ => format!(".Data.data.{}", self.random.pick(FIELDS)),
        };
        match self.random.below(3) {
            0 => {
                let (name, params, _) = FUNCTIONS[self.random.below(FUNCTIONS.len())];
                if params.contains(&Count) || params.contains(&Name) {
                    return field;
                }
                format!("{field} | {name}")
            }
            1 => {
                let verb = self.random.pick(VERBS);
                format!("printf \"{verb}\" {field}")
            }
            _ => field,
        }
    }

    fn scratch(&mut self) -> String {
        let value = self.expression(Any, 1);
        let method = match self.random.below(6) {
            0 => format!("scratch.Set \"k\" {value}"),
            1 => format!("scratch.MapSet \"m\" \"x\" {value}"),
            2 => "scratch.MapValues \"m\"".to_owned(),
            3 => "scratch.Get \"m\"".to_owned(),
            4 => format!("scratch.SetX \"k\" {value}"),
            _ => "scratch.Get \"k\"".to_owned(),
        };
        self.wrap(&method)
    }

    fn formatted(&mut self) -> String {
        let mut format = String::new();
        let mut values = String::new();
        for _ in 0..=self.random.below(2) {
            format.push_str(self.random.pick(VERBS));
            if self.random.chance(90) {
                values.push(' ');
                values.push_str(&self.expression(Any, 1));
            }
        }
        self.wrap(&format!("printf \"{format}\"{values}"))
    }

    fn pattern(&mut self) -> String {
        let regex = self.random.pick(REGEXES);
        let text = self.expression(Text, 1);
        let replacement = self.random.pick(REPLACEMENTS);
        let call = match self.random.below(5) {
            0 => format!("regexReplaceAll \"{regex}\" \"{replacement}\" {text}"),
            1 => format!("sprig_regexFindAll \"{regex}\" {text} -1"),
            2 => format!("sprig_regexSplit \"{regex}\" {text} -1"),
            3 => format!("sprig_regexFind \"{regex}\" {text}"),
            _ => format!("regexMatch \"{regex}\" {text}"),
        };
        self.wrap(&call)
    }

    fn pipeline(&mut self, depth: usize) -> String {
        let first = self.expression(Any, depth);
        let first = match first
            .strip_prefix('(')
            .and_then(|inner| inner.strip_suffix(')'))
        {
            Some(inner) if !inner.contains('(') && self.random.chance(80) => inner.to_owned(),
            _ => first,
        };
        if !self.random.chance(25) {
            return first;
        }
        let (name, params, _) = FUNCTIONS[self.random.below(FUNCTIONS.len())];
        if matches!(params.last(), Some(Count | Name)) {
            return first;
        }
        let mut out = format!("{first} | {name}");
        for &kind in params.iter().rev().skip(1).rev() {
            out.push(' ');
            out.push_str(&self.expression(kind, 0));
        }
        out
    }

    fn expression(&mut self, kind: Kind, depth: usize) -> String {
        if kind == Name {
            return self
                .random
                .pick(&[
                    "\"fooBarHTTPServer_2x y\"",
                    "\"a-b__c 12d\"",
                    "\"X9Y\"",
                    "\"ДобрыйДень\"",
                    "\"\"",
                    "\"a.b/c\"",
                    "\"k: v\\nl:\\n- 1\\n- x: ~\"",
                ])
                .to_owned();
        }
        if kind == Count {
            return self
                .random
                .pick(&["0", "1", "2", "3", "5", "-1", "\"2\"", "12"])
                .to_owned();
        }
        let wanted = if self.random.chance(6) { Any } else { kind };
        if depth > 0 && self.random.chance(55) {
            return self.call(wanted, depth);
        }
        if !self.variables.is_empty() && self.random.chance(15) {
            let at = self.random.below(self.variables.len());
            return self.variables[at].clone();
        }
        let concrete = if wanted == Any {
            [Text, Int, Float, Bool, List, Map, Strings][self.random.below(7)]
        } else {
            wanted
        };
        self.literal(concrete)
    }

    fn literal(&mut self, kind: Kind) -> String {
        match kind {
            Text | Any => self.random.pick(TEXTS),
            Int | Count | Name => self.random.pick(INTS),
            Float => self.random.pick(FLOATS),
            Bool => self.random.pick(&["true", "false"]),
            List => self.random.pick(&[
                "(sprig_list 1 \"a\" 2.5)",
                "(sprig_list)",
                "(parseJSON \"[1,\\\"b\\\",null,true]\")",
                "(sprig_list \"b\" \"a\" \"b\")",
                "(parseJSON \"[{\\\"k\\\":1},{\\\"k\\\":[2]}]\")",
            ]),
            Strings => self.random.pick(&["(split \",\" \"x,y,z\")", "(secrets \"kv/metadata/\")", "(sprig_splitList \" \" \"b a\")"]),
            Map => self.random.pick(&[
                "(sprig_dict \"a\" 1 \"b\" \"x\")",
                "(parseJSON \"{\\\"n\\\":{\\\"x\\\":1,\\\"a2\\\":2,\\\"a10\\\":[]},\\\"f\\\":1.5,\\\"s\\\":\\\"t: u\\\",\\\"z\\\":null}\")",
                "(sprig_dict)",
                "(secret \"kv/app\").Data.data",
                "(parseJSON \"{\\\"a/b\\\":1,\\\"a/c\\\":{\\\"d\\\":2},\\\"e\\\":\\\"\\\"}\")",
                "(secret \"secret/legacy\").Data",
            ]),
        }
        .to_owned()
    }

    fn call(&mut self, kind: Kind, depth: usize) -> String {
        let fits: Vec<&Signature> = FUNCTIONS
            .iter()
            .filter(|(_, _, result)| kind == Any || *result == kind)
            .collect();
        let &&(name, params, _) = &fits[self.random.below(fits.len())];
        let mut out = format!("({name}");
        for &param in params {
            out.push(' ');
            out.push_str(&self.expression(param, depth - 1));
        }
        if self.random.chance(2) {
            out.push_str(" 1");
        }
        out.push(')');
        out
    }
}
