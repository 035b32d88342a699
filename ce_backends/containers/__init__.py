"""Starting payloads in containers: bubblewrap, Apptainer, Podman."""
