// SPDX-License-Identifier: Apache-2.0

package container

import (
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Names looks up what containers are called, in the files of their runtimes:
// those that Docker and podman run for root, and those that containerd runs for
// Kubernetes. It remembers; it is not for concurrent use.
type Names struct {
	root  string // of the file system, "" for ours
	known map[string][]string
}

// maxState bounds what is read of a runtime's file, and maxNames what is
// remembered.
const (
	maxState = 8 << 20
	maxNames = 4096
)

// Of returns the names of a container, none where no file that may be read
// tells.
func (n *Names) Of(c Container) []string {
	if c.ID == "" {
		return nil
	}
	if !isID(c.ID) {
		return []string{c.ID}
	}
	if names, ok := n.known[c.ID]; ok {
		return names
	}
	var names []string
	for _, look := range []func(string) []string{n.docker, n.podman, n.kubernetes} {
		if names = look(c.ID); len(names) > 0 {
			break
		}
	}
	if n.known == nil || len(n.known) >= maxNames {
		n.known = make(map[string][]string)
	}
	n.known[c.ID] = names
	return names
}

// MinPrefix is how many digits of an id have to be given.
const MinPrefix = 4

// Match reports whether what a user wrote means the container: one of its
// names, or the beginning of its id.
func (n *Names) Match(c Container, what string) bool {
	if c.ID == "" || what == "" {
		return false
	}
	if isID(c.ID) && len(what) >= MinPrefix && strings.HasPrefix(c.ID, strings.ToLower(what)) {
		return true
	}
	return slices.Contains(n.Of(c), what)
}

func (n *Names) read(path string, to any) bool {
	f, err := os.Open(filepath.Join(n.root, path))
	if err != nil {
		return false
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxState))
	return err == nil && json.Unmarshal(b, to) == nil
}

func (n *Names) docker(id string) []string {
	var state struct{ Name string }
	if !n.read("/var/lib/docker/containers/"+id+"/config.v2.json", &state) || state.Name == "" {
		return nil
	}
	return []string{strings.TrimPrefix(state.Name, "/")}
}

func (n *Names) podman(id string) []string {
	var all []struct {
		ID    string
		Names []string
	}
	for _, file := range []string{"containers.json", "volatile-containers.json"} {
		if !n.read("/var/lib/containers/storage/overlay-containers/"+file, &all) {
			continue
		}
		for _, c := range all {
			if c.ID == id {
				return c.Names
			}
		}
	}
	return nil
}

// kubernetes gives the name in the pod, and with the pod's in front.
func (n *Names) kubernetes(id string) []string {
	var spec struct{ Annotations map[string]string }
	if !n.read("/run/containerd/io.containerd.runtime.v2.task/k8s.io/"+id+"/config.json", &spec) {
		return nil
	}
	name := spec.Annotations["io.kubernetes.cri.container-name"]
	if name == "" {
		return nil
	}
	names := []string{name}
	if pod := spec.Annotations["io.kubernetes.cri.sandbox-name"]; pod != "" {
		names = append(names, pod+"/"+name)
	}
	return names
}
