//! Makes the image of the hosts, each part once.

mod compiled;
mod guest_kernel;
mod image;
mod modules;
mod programs;
mod sources;
mod system;

use std::fs;
use std::path::{Path, PathBuf};

use s_core_lab::LabError;

use crate::cache::{Cache, Key, file_error};
use crate::files;
use crate::prerequisites::Purpose;
use crate::progress::BuildStep;
use crate::record;

/// What all hosts start from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    directory: PathBuf,
}

impl Image {
    /// The image that [`build()`] made last.
    ///
    /// # Errors
    ///
    /// [`LabError::Missing`] if there is none, or one that a program of another version made.
    pub fn of(cache: &Cache) -> Result<Self, LabError> {
        let missing = |what| {
            let cache = cache.directory().display();
            LabError::Missing(format!("{what} in {cache} (xen-lab build --cache {cache})"))
        };
        let directory = cache.current().ok_or_else(|| missing("no image"))?;
        let recipe = fs::read_to_string(directory.join(image::RECIPE)).unwrap_or_default();
        if recipe != recipe_key() {
            return Err(missing("an image of another version of this program"));
        }
        Ok(Self { directory })
    }

    pub(crate) const fn from_directory(directory: PathBuf) -> Self {
        Self { directory }
    }

    /// The first file that the agent or the VMs' program was compiled from and that is not as it was then, in the source tree of
    /// this program: below that, for people. None if the tree is gone, too.
    pub fn changed_source(&self) -> Option<PathBuf> {
        let tree = programs::workspace();
        let is_there = tree.join("Cargo.toml").is_file();
        is_there.then(|| compiled::changed(&self.directory, &tree))?
    }

    /// The directory with its files.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// A file of it.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    /// What tells it from others.
    pub fn id(&self) -> String {
        let name = self.directory.file_name().unwrap_or_default();
        name.to_string_lossy().into_owned()
    }
}

/// Makes the image, or takes from the cache what has been made of the same inputs before, and tells of every step that takes
/// its time. The first time takes some ten minutes on two processors and needs Debian's mirror; later, seconds. In the end what was
/// made of other inputs goes, but for images that hosts run from.
///
/// # Errors
///
/// [`LabError::Missing`] if this machine lacks something, [`LabError::Failed`] if a program fails. What was made before stays then.
pub fn build(cache: &Cache, tell: &dyn Fn(BuildStep)) -> Result<Image, LabError> {
    Purpose::Build.check(cache)?;
    let _lock = cache.lock()?;
    let system = system::make(cache, tell)?;
    let guest_kernel = guest_kernel::make(cache, &system, tell)?;
    tell(BuildStep::Programs);
    let programs = programs::make(cache)?;
    let image = image::make(cache, &system, &guest_kernel, &programs, tell)?;
    // Other sources can make the same programs.
    compiled::record(&image, &programs::workspace(), &programs.files)?;
    cache.set_current(&image)?;
    let mut used = vec![system.directory, guest_kernel, image.clone()];
    let running = record::images()?.into_iter();
    used.extend(running.map(|(_, image)| image.directory));
    cache.clean(&used)?;
    Ok(Image::from_directory(image))
}

/// What of an image is written in this program.
fn recipe_key() -> String {
    let mut key = system::key()
        .with("knows what its programs were compiled from")
        .with(files::INITRAMFS_INIT)
        .with(files::GUEST_KERNEL);
    for (path, content, _) in files::DOM0 {
        key = key.with(path).with(content);
    }
    key.name()
}

/// The only file in a directory whose name begins and ends so.
fn find(directory: &Path, begins: &str, ends: &str) -> Result<PathBuf, LabError> {
    let entries = fs::read_dir(directory).map_err(|source| file_error(directory, source))?;
    let names = entries.flatten().map(|entry| entry.path());
    let mut found: Vec<_> = names
        .filter(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            name.starts_with(begins) && name.ends_with(ends)
        })
        .collect();
    match (found.pop(), found.is_empty()) {
        (Some(found), true) => Ok(found),
        (first, _) => Err(LabError::Content {
            path: directory.into(),
            problem: format!(
                "holds {} {begins}…{ends}",
                if first.is_some() {
                    "more than one"
                } else {
                    "no"
                }
            ),
        }),
    }
}

fn write(path: &Path, content: impl AsRef<[u8]>) -> Result<(), LabError> {
    fs::write(path, content).map_err(|source| file_error(path, source))
}

/// An empty key of a recipe that bears this name and version.
fn recipe(name: &str, version: u32) -> Key {
    Key::default().with(name).with(version.to_le_bytes())
}
