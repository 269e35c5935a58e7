// SPDX-License-Identifier: Apache-2.0

package container

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const (
	idA = "3f4e5d6c7b8a90123f4e5d6c7b8a90123f4e5d6c7b8a90123f4e5d6c7b8a9012"
	idB = "00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff"
)

func TestParse(t *testing.T) {
	for _, test := range []struct {
		name, cgroup string
		want         Container
	}{
		{"none", "0::/user.slice/user-0.slice/session-1.scope\n", Container{}},
		{"root", "0::/\n", Container{}},
		{"empty", "", Container{}},
		{"docker, systemd", "0::/system.slice/docker-" + idA + ".scope\n", Container{"docker", idA}},
		{"docker, cgroupfs", "0::/docker/" + idA + "\n", Container{"docker", idA}},
		{"docker, cgroup v1", "12:pids:/docker/" + idA + "\n1:name=systemd:/docker/" + idA + "\n", Container{"docker", idA}},
		{"docker in docker", "0::/docker/" + idA + "/docker/" + idB + "\n", Container{"docker", idB}},
		{"a group of its own inside", "0::/system.slice/docker-" + idA + ".scope/init.scope\n", Container{"docker", idA}},
		{"podman", "0::/machine.slice/libpod-" + idA + ".scope/container\n", Container{"podman", idA}},
		{"podman, cgroupfs", "0::/libpod_parent/libpod-" + idA + "\n", Container{"podman", idA}},
		{"podman's monitor", "0::/machine.slice/libpod-conmon-" + idA + ".scope\n", Container{}},
		{"rootless podman", "0::/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-" + idA + ".scope\n", Container{"podman", idA}},
		{"cri-o", "0::/kubepods.slice/kubepods-pod1.slice/crio-" + idA + ".scope\n", Container{"cri-o", idA}},
		{"kubernetes, systemd", "0::/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod1_2.slice/cri-containerd-" + idA + ".scope\n", Container{"containerd", idA}},
		{"kubernetes, cgroupfs", "0::/kubepods/besteffort/pod1-2/" + idA + "\n", Container{"", idA}},
		{"kubernetes, containerd's own names", "0::/system.slice/containerd.service/kubepods-besteffort-pod1.slice:cri-containerd:" + idA + "\n", Container{"containerd", idA}},
		{"nerdctl", "0::/system.slice/nerdctl-" + idA + ".scope\n", Container{"containerd", idA}},
		{"ecs", "9:memory:/ecs/0123/" + idA + "\n", Container{"", idA}},
		{"nspawn", "0::/machine.slice/systemd-nspawn@web\\x2d1.service/payload/system.slice/nginx.service\n", Container{"nspawn", "web-1"}},
		{"nspawn, by hand", "0::/machine.slice/machine-web.scope/payload\n", Container{"nspawn", "web"}},
		{"a virtual machine", "0::/machine.slice/machine-qemu\\x2d1\\x2dweb.scope/libvirt/emulator\n", Container{}},
		{"lxc", "0::/lxc.payload.web/system.slice/nginx.service\n", Container{"lxc", "web"}},
		{"lxc's monitor", "0::/lxc.monitor.web\n", Container{}},
		{"lxc, old", "4:memory:/lxc/web\n", Container{"lxc", "web"}},
		{"the second hierarchy", "2:cpu:/\n1:memory:/docker/" + idA + "\n0::/\n", Container{"docker", idA}},
		{"too short", "0::/docker/3f4e5d6c7b8a\n", Container{}},
		{"not hexadecimal", "0::/docker/" + strings.Repeat("g", 64) + "\n", Container{}},
		{"no line", "docker", Container{}},
		{"a bad escape", "0::/machine.slice/machine-a\\x2.scope\n", Container{"nspawn", `a\x2`}},
		{"colons in a name", "0::/a:b:c/docker-" + idA + ".scope\n", Container{"docker", idA}},
	} {
		if got := Parse([]byte(test.cgroup)); got != test.want {
			t.Errorf("%s: %+v, want %+v", test.name, got, test.want)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte("0::/system.slice/docker-" + idA + ".scope\n"))
	f.Add([]byte("0::/machine.slice/machine-web\\x2d.scope/payload\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		c := Parse(b)
		_ = c.String()
		if c.Runtime != "" && c.ID == "" {
			t.Errorf("%+v", c)
		}
	})
}

func TestOfSelf(t *testing.T) {
	if _, err := Of(os.Getpid()); err != nil {
		t.Error(err)
	}
	if _, err := Of(1 << 30); !os.IsNotExist(err) {
		t.Errorf("error %v", err)
	}
}

func TestNames(t *testing.T) {
	root := t.TempDir()
	write := func(path, text string) {
		path = filepath.Join(root, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	idC, idD := strings.Repeat("c", 64), strings.Repeat("d", 64)
	write("/var/lib/docker/containers/"+idA+"/config.v2.json", `{"ID":"`+idA+`","Name":"/web","State":{"Pid":1}}`)
	write("/var/lib/docker/containers/"+idD+"/config.v2.json", `{"Name":`) // cut
	write("/var/lib/containers/storage/overlay-containers/containers.json", `[{"id":"`+idB+`","names":["db","database"]}]`)
	write("/run/containerd/io.containerd.runtime.v2.task/k8s.io/"+idC+"/config.json",
		`{"annotations":{"io.kubernetes.cri.container-name":"proxy","io.kubernetes.cri.sandbox-name":"pod-7"}}`)
	for _, test := range []struct {
		c    Container
		want []string
	}{
		{Container{}, nil},
		{Container{"docker", idA}, []string{"web"}},
		{Container{"podman", idB}, []string{"db", "database"}},
		{Container{"containerd", idC}, []string{"proxy", "pod-7/proxy"}},
		{Container{"docker", idD}, nil},
		{Container{"", strings.Repeat("e", 64)}, nil},
		{Container{"lxc", "mail"}, []string{"mail"}},
	} {
		n := &Names{root: root}
		for range 2 { // the second time from memory
			if got := n.Of(test.c); !slices.Equal(got, test.want) {
				t.Errorf("%+v: %q, want %q", test.c, got, test.want)
			}
		}
		for _, name := range test.want {
			if !n.Match(test.c, name) {
				t.Errorf("%+v is not %q", test.c, name)
			}
		}
		if n.Match(test.c, "other") || n.Match(test.c, "") {
			t.Errorf("%+v is anything", test.c)
		}
	}
	n := &Names{root: root}
	a := Container{"docker", idA}
	for what, want := range map[string]bool{idA: true, idA[:12]: true, "3F4E": true, "3f4": false, "4e5d": false, "we": false} {
		if got := n.Match(a, what); got != want {
			t.Errorf("%q: %v", what, got)
		}
	}
}
