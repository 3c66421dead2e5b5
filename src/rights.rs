//! Whether we run as root where that is no matter of course: outside a container.

use std::path::Path;

/// Root, and not within a container, whose root is less.
pub fn is_root_of_the_machine() -> bool {
    #[cfg(unix)]
    return rustix::process::geteuid().is_root()
        && !is_container(Path::new("/"), |name| {
            std::env::var_os(name).is_some_and(|value| !value.is_empty())
        });
    #[cfg(not(unix))]
    return false;
}

/// What the usual container programs leave: Docker and Podman a file, systemd-nspawn and Podman a
/// variable, Kubernetes another, the rest their name in the first process's cgroup.
#[cfg(unix)]
fn is_container(root: &Path, is_set: impl Fn(&str) -> bool) -> bool {
    const NAMES: [&str; 5] = ["docker", "kubepods", "containerd", "libpod", "lxc"];
    let has_file = [".dockerenv", "run/.containerenv"].iter().any(|file| root.join(file).exists());
    let cgroup = std::fs::read_to_string(root.join("proc/1/cgroup")).unwrap_or_default();
    has_file
        || ["container", "KUBERNETES_SERVICE_HOST"].into_iter().any(is_set)
        || NAMES.iter().any(|name| cgroup.contains(name))
}

#[cfg(all(test, unix))]
mod tests {
    use super::is_container;
    use std::fs;

    #[test]
    fn a_container_is_known_by_what_it_leaves() {
        let root = tempfile::tempdir().expect("a folder");
        let at = |name: &str| root.path().join(name);
        let nothing = |_: &str| false;
        for folder in ["run", "proc/1"] {
            fs::create_dir_all(at(folder)).expect("a folder");
        }
        assert!(!is_container(root.path(), nothing));
        fs::write(at("proc/1/cgroup"), "0::/init.scope\n").expect("a file");
        assert!(!is_container(root.path(), nothing));
        assert!(is_container(root.path(), |name| name == "container"));
        assert!(is_container(root.path(), |name| name == "KUBERNETES_SERVICE_HOST"));
        fs::write(at("proc/1/cgroup"), "0::/system.slice/docker-abc.scope\n").expect("a file");
        assert!(is_container(root.path(), nothing));
        fs::remove_file(at("proc/1/cgroup")).expect("it goes");
        for file in [".dockerenv", "run/.containerenv"] {
            fs::write(at(file), "").expect("a file");
            assert!(is_container(root.path(), nothing), "{file}");
            fs::remove_file(at(file)).expect("it goes");
        }
    }
}
