//! What a testbed remembers beside its laboratory's layout, once all of its hosts have started: the image that they run from.

use std::fs;
use std::io;
use std::path::PathBuf;

use s_core_lab::{LabError, LabName};
use serde::{Deserialize, Serialize};

use crate::build::Image;
use crate::cache::file_error;
use crate::plan::Plan;

/// The file in the laboratory's directory.
const FILE: &str = "xen.toml";

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Record {
    image: PathBuf,
}

pub(crate) fn write(plan: &Plan, image: &Image) -> Result<(), LabError> {
    let path = plan.layout().directory().join(FILE);
    let record = Record {
        image: image.directory().into(),
    };
    let text = toml::to_string(&record).map_err(|error| LabError::Content {
        path: path.clone(),
        problem: error.to_string(),
    })?;
    fs::write(&path, text).map_err(|source| file_error(&path, source))
}

/// The testbed of this name, and the image that its hosts run from.
///
/// # Errors
///
/// [`LabError::Unknown`] if there is no such laboratory; [`LabError::Missing`] if it is not one of Xen hosts, or they have not all
/// started; any other if it is damaged.
pub fn load(name: &LabName) -> Result<(Plan, Image), LabError> {
    let plan = Plan::of(name)?;
    let image = image(name)?.ok_or_else(|| {
        LabError::Missing(format!(
            "{name} has no Xen hosts that are up: they are being started, or were not to the end, or it is a laboratory of \
             another kind (to remove it: xen-lab down --name {name})"
        ))
    })?;
    Ok((plan, image))
}

/// The images that hosts of all testbeds of this machine run from.
pub(crate) fn images() -> Result<Vec<(LabName, Image)>, LabError> {
    let mut images = Vec::new();
    for name in s_core_lab::names()? {
        if let Some(image) = image(&name)? {
            images.push((name, image));
        }
    }
    Ok(images)
}

/// The image that the hosts of a laboratory run from, if they are Xen hosts that have all started.
fn image(name: &LabName) -> Result<Option<Image>, LabError> {
    let path = name.directory().join(FILE);
    let text = match fs::read_to_string(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        read => read.map_err(|source| file_error(&path, source))?,
    };
    let record: Record = toml::from_str(&text).map_err(|error| LabError::Content {
        path,
        problem: error.to_string(),
    })?;
    Ok(Some(Image::from_directory(record.image)))
}
