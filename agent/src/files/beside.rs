//! Files that a template writes beside its own: `writeToFile`.

use std::io::{self, Write};
use std::path::PathBuf;

use planescape_agent_contract::{FileMode, Id, Owner};
use planescape_templates::Effect;
use rustix::fs::{Mode, OFlags, openat};
use zeroize::Zeroizing;

use super::folder::Place;
use super::read::content;
use super::{Target, regular, write};

/// Writes the file of an effect. An error comes with the path.
pub(crate) fn write_beside(effect: &Effect, shared: &[PathBuf]) -> Result<(), (String, io::Error)> {
    let Effect::WriteFile {
        path,
        user,
        group,
        mode,
        appends,
        content,
    } = effect
    else {
        let error = io::Error::other("the template asks for what this agent does not know");
        return Err((String::new(), error));
    };
    let id = |text: &String| (!text.is_empty()).then(|| Id::parse(text));
    let target = Target {
        path: path.into(),
        mode: FileMode::from_bits(*mode),
        create_parents: true,
        owner: Owner {
            user: id(user),
            group: id(group),
        },
        backup: false,
    };
    let written = if *appends {
        before(&target, shared).and_then(|mut bytes| {
            let mut all = Zeroizing::new(Vec::with_capacity(bytes.len() + content.len()));
            all.append(&mut bytes);
            all.write_all(content)?;
            write(&target, shared, &all)
        })
    } else {
        write(&target, shared, content)
    };
    written.map(drop).map_err(|error| (path.clone(), error))
}

/// The present content of the file; empty if there is no file.
fn before(target: &Target, shared: &[PathBuf]) -> io::Result<Zeroizing<Vec<u8>>> {
    let place = Place::of(&target.path, shared, true)?;
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    match openat(&place.folder, &place.name, flags, Mode::empty()) {
        Ok(found) => content(regular(found)?),
        Err(rustix::io::Errno::NOENT) => Ok(Zeroizing::default()),
        Err(error) => Err(error.into()),
    }
}
