//! What a running testbed remembers beside its laboratory's layout: the image that it runs from.

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
/// [`LabError::Unknown`] if there is no such laboratory or it is not one of Xen hosts, any other if it is damaged.
pub fn load(name: &LabName) -> Result<(Plan, Image), LabError> {
    let layout = s_core_lab::load(name)?;
    let path = layout.directory().join(FILE);
    let text = fs::read_to_string(&path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => LabError::Unknown(name.clone()),
        _ => file_error(&path, error),
    })?;
    let record: Record = toml::from_str(&text).map_err(|error| LabError::Content {
        path,
        problem: error.to_string(),
    })?;
    Ok((
        Plan::from_layout(layout),
        Image::from_directory(record.image),
    ))
}
