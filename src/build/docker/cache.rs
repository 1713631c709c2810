//! Cache volumes: they keep the modules and compiled packages of a project between builds.

use std::collections::HashMap;

use bollard::models::VolumeCreateRequest;
use bollard::query_parameters::RemoveVolumeOptions;

use super::engine::is_missing;
use super::error::Request;
use super::plan::project_id;
use super::sweep::PROJECT_LABEL;
use super::{ContainerPlan, DockerEngine, Error};
use crate::config::Config;

impl DockerEngine {
    /// Creates the volumes of a plan that do not exist yet. A Docker label of each volume names its project.
    pub(super) fn create_caches(&self, plan: &ContainerPlan) -> Result<(), Error> {
        for volume in &plan.volumes {
            let Some(name) = &volume.name else { continue };
            let request = VolumeCreateRequest {
                name: Some(name.clone()),
                labels: Some(HashMap::from([(PROJECT_LABEL.to_owned(), plan.dir.clone())])),
                ..VolumeCreateRequest::default()
            };
            self.block_on(self.docker.create_volume(request))
                .map_err(|source| Request::CreateCache.into_error(source))?;
        }
        Ok(())
    }

    /// Removes the caches of the project. Returns the names of the caches that existed.
    pub fn clean_caches(&self, config: &Config) -> Result<Vec<String>, Error> {
        let mut removed = Vec::new();
        for name in ContainerPlan::cache_names(&project_id(&config.root, self.user())) {
            match self.block_on(self.docker.remove_volume(&name, None::<RemoveVolumeOptions>)) {
                Ok(()) => removed.push(name),
                Err(error) if is_missing(&error) => {}
                Err(source) => return Err(Request::RemoveCache.into_error(source)),
            }
        }
        Ok(removed)
    }
}
