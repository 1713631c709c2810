//! Containers: one per step of a plan. Each container is removed when its step ends, also after an error.

use std::collections::HashMap;
use std::pin::pin;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use bollard::container::LogOutput;
use bollard::errors::Error as ApiError;
use bollard::models::{ContainerCreateBody, HostConfig, Mount, MountType};
use bollard::query_parameters::{
    AttachContainerOptionsBuilder, CreateContainerOptionsBuilder, StartContainerOptions,
    UploadToContainerOptionsBuilder, WaitContainerOptionsBuilder,
};
use futures_util::StreamExt;
use futures_util::future::{Either, select};

use super::error::Request;
use super::plan::{ContainerStep, Volume};
use super::sweep::{OWNER_LABEL, Owner, PROJECT_LABEL};
use super::{ContainerPlan, DockerEngine, Error, User};
use crate::build::BuildProgress;
use crate::build::GoTool;

/// Size of the kept end of a container's output, in bytes. Advice is derived from that end.
const KEPT_OUTPUT_BYTES: usize = 8192;

/// Delay until the wait request has certainly reached the engine.
const WAIT_REQUEST_DELAY: Duration = Duration::from_millis(30);

/// Result of a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StepResult {
    /// Exit status of `go`.
    pub(crate) status: i64,
    /// End of the output: at most [`KEPT_OUTPUT_BYTES`] bytes.
    pub(crate) output_tail: String,
}

impl DockerEngine {
    /// Asks the Go in the image for its settings, as [`GoTool::find`] does on this machine.
    pub fn go_tool(&self, plan: &ContainerPlan) -> Result<GoTool, Error> {
        self.create_caches(plan)?;
        let mut answer = Vec::new();
        let ended = self.run_step(plan, &plan.go_env, |out| {
            if let LogOutput::StdOut { message } = out {
                answer.extend_from_slice(message);
            }
        })?;
        let failed = || Error::GoEnv { image: plan.image.clone(), output: ended.output_tail.trim().to_owned() };
        if ended.status != 0 {
            return Err(failed());
        }
        GoTool::from_go_env_json("go".into(), &answer).map_err(|_| failed())
    }

    /// Downloads missing modules, then builds.
    pub(crate) fn build(&self, plan: &ContainerPlan, progress: &dyn BuildProgress) -> Result<StepResult, Error> {
        self.create_caches(plan)?;
        if let Some(download) = &plan.download {
            let are_present = match &plan.check_modules {
                Some(check) => self.run_step(plan, check, |_| {})?.status == 0,
                None => false,
            };
            if !are_present {
                progress.show_stage("Downloading", "modules (go mod download), the only step with a network");
                let ended = self.run_step(plan, download, |out| progress.show_output(out.as_ref()))?;
                if ended.status != 0 {
                    return Err(Error::Download { status: ended.status });
                }
            }
        }
        self.run_step(plan, &plan.build, |out| progress.show_output(out.as_ref()))
    }

    fn run_step(
        &self,
        plan: &ContainerPlan,
        step: &ContainerStep,
        mut sink: impl FnMut(&LogOutput),
    ) -> Result<StepResult, Error> {
        static CONTAINER_COUNT: AtomicU32 = AtomicU32::new(0);
        let count = CONTAINER_COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("goflame-{}-{}-{count}", plan.project, std::process::id());
        let mut output = Vec::new();
        let outcome = self.block_unless_interrupted(self.run_container_to_end(&name, plan, step, |out| {
            sink(out);
            output.extend_from_slice(out.as_ref());
            let surplus = output.len().saturating_sub(KEPT_OUTPUT_BYTES);
            output.drain(..surplus);
        }));
        if outcome.is_err() {
            self.block_on(self.remove(&name));
        }
        let status = outcome?;
        Ok(StepResult { status, output_tail: String::from_utf8_lossy(&output).into_owned() })
    }

    async fn run_container_to_end(
        &self,
        name: &str,
        plan: &ContainerPlan,
        step: &ContainerStep,
        mut sink: impl FnMut(&LogOutput),
    ) -> Result<i64, Error> {
        let docker = &self.docker;
        let refused = |request: Request| move |source| request.into_error(source);
        let lost = || Error::Lost {
            endpoint: self.endpoint.to_string(),
            command: step.args.iter().take_while(|arg| !arg.starts_with('-')).cloned().collect::<Vec<_>>().join(" "),
        };
        let options = CreateContainerOptionsBuilder::new().name(name).build();
        docker
            .create_container(Some(options), container_request(plan, step))
            .await
            .map_err(refused(Request::CreateContainer))?;
        for volume in &plan.volumes {
            let options = UploadToContainerOptionsBuilder::new().path(volume.target).build();
            let archive = directory_archive(volume, plan.user).map_err(Error::Runtime)?;
            docker
                .upload_to_container(name, Some(options), bollard::body_full(archive.into()))
                .await
                .map_err(refused(Request::PrepareContainer))?;
        }
        let options = AttachContainerOptionsBuilder::new().stream(true).stdout(true).stderr(true).build();
        let mut attached =
            docker.attach_container(name, Some(options)).await.map_err(refused(Request::AttachContainer))?;
        let options = WaitContainerOptionsBuilder::new().condition("removed").build();
        let mut endings = docker.wait_container(name, Some(options));
        let mut ending = pin!(endings.next());
        // The engine removes the container when the container ends. The wait request must arrive before the start,
        // because a request after the removal gets no answer.
        let early = match select(ending.as_mut(), pin!(tokio::time::sleep(WAIT_REQUEST_DELAY))).await {
            Either::Left((early, _)) => early,
            Either::Right(_) => None,
        };
        if let Some(Err(source)) = early {
            return Err(refused(Request::WaitContainer)(source));
        }
        docker.start_container(name, None::<StartContainerOptions>).await.map_err(|source| match &source {
            ApiError::DockerResponseServerError { message, .. } if message.contains("executable file not found") => {
                Error::NoGo { image: plan.image.clone(), source: Box::new(source) }
            }
            _ => refused(Request::StartContainer)(source),
        })?;
        while let Some(out) = attached.output.next().await {
            sink(&out.map_err(|_| lost())?);
        }
        let status = match ending.await {
            Some(Ok(ended)) => ended.status_code,
            // bollard reports every exit status except 0 as an error.
            Some(Err(ApiError::DockerContainerWaitError { code, .. })) => code,
            Some(Err(_)) | None => return Err(lost()),
        };
        // A stopping engine ends its containers first. This must not look like a failure of Go.
        if status != 0 && docker.ping().await.is_err() {
            return Err(lost());
        }
        Ok(status)
    }
}

fn container_request(plan: &ContainerPlan, step: &ContainerStep) -> ContainerCreateBody {
    let binds = plan.step_binds(step).map(|bind| Mount {
        typ: Some(MountType::BIND),
        source: Some(bind.dir.clone()),
        target: Some(bind.dir.clone()),
        read_only: Some(!bind.is_writable),
        ..Mount::default()
    });
    let volumes = plan.volumes.iter().map(|volume| Mount {
        typ: Some(MountType::VOLUME),
        source: volume.name.clone(),
        target: Some(volume.target.to_owned()),
        ..Mount::default()
    });
    let env = plan.step_env(step).into_iter().filter_map(|(name, value)| {
        let value = value.or_else(|| std::env::var(&name).ok())?;
        Some(format!("{name}={value}"))
    });
    let labels = [(OWNER_LABEL, Owner::current().label()), (PROJECT_LABEL, plan.dir.clone())];
    ContainerCreateBody {
        image: Some(plan.image.clone()),
        user: Some(format!("{}:{}", plan.user.uid, plan.user.gid)),
        working_dir: Some(plan.dir.clone()),
        entrypoint: Some(vec!["go".to_owned()]),
        cmd: Some(step.args.clone()),
        env: Some(env.collect()),
        attach_stdout: Some(true),
        attach_stderr: Some(true),
        labels: Some(labels.map(|(name, value)| (name.to_owned(), value)).into_iter().collect::<HashMap<_, _>>()),
        host_config: Some(HostConfig {
            mounts: Some(binds.chain(volumes).collect()),
            network_mode: Some(if step.has_network { "default" } else { "none" }.to_owned()),
            readonly_rootfs: Some(true),
            cap_drop: Some(vec!["ALL".to_owned()]),
            security_opt: Some(vec!["no-new-privileges".to_owned()]),
            pids_limit: Some(plan.max_threads),
            memory: plan.memory.and_then(|bytes| i64::try_from(bytes).ok()),
            auto_remove: Some(true),
            ..HostConfig::default()
        }),
        ..ContainerCreateBody::default()
    }
}

/// Creates a tar archive with the directories of a volume. The user owns each directory.
fn directory_archive(volume: &Volume, user: User) -> std::io::Result<Vec<u8>> {
    let mut archive = tar::Builder::new(Vec::new());
    for dir in &volume.dirs {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(tar::EntryType::Directory);
        header.set_mode(0o755);
        header.set_uid(user.uid.into());
        header.set_gid(user.gid.into());
        header.set_size(0);
        archive.append_data(&mut header, format!("{dir}/"), std::io::empty())?;
    }
    archive.into_inner()
}

#[cfg(test)]
#[expect(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn directories_belong_to_the_user() {
        let volume = Volume { name: None, target: "/x", dirs: vec!["home", "tmp"] };
        let bytes = directory_archive(&volume, User { uid: 1000, gid: 100 }).unwrap();
        let mut archive = tar::Archive::new(bytes.as_slice());
        let found: Vec<_> = archive
            .entries()
            .unwrap()
            .map(|entry| {
                let entry = entry.unwrap();
                let header = entry.header();
                (entry.path().unwrap().display().to_string(), header.uid().unwrap(), header.gid().unwrap())
            })
            .collect();
        assert_eq!(found, [("home/".to_owned(), 1000, 100), ("tmp/".to_owned(), 1000, 100)]);
    }
}
