// SPDX-License-Identifier: Apache-2.0

package main

import (
	"strings"
	"testing"

	"h2sniff/capture/container"
)

func TestTellContainers(t *testing.T) {
	web := container.Container{Runtime: "docker", ID: strings.Repeat("0a1b", 16)}
	db := container.Container{Runtime: "podman", ID: strings.Repeat("9f8e", 16)}
	mail := container.Container{Runtime: "lxc", ID: "mail"}
	names := func(c container.Container) []string {
		switch c {
		case web:
			return []string{"web", "pod/web"}
		case mail:
			return []string{"mail"}
		}
		return nil
	}
	for _, test := range []struct {
		all  []container.Container
		want string
	}{
		{nil, "no process runs in a container that is known as one"},
		{[]container.Container{web, db, mail}, "containers there are: 0a1b0a1b0a1b (web, pod/web), 9f8e9f8e9f8e, mail"},
	} {
		if got := tellContainers(test.all, names); got != test.want {
			t.Errorf("%q, want %q", got, test.want)
		}
	}
	many := make([]container.Container, 25)
	for i := range many {
		many[i] = mail
	}
	if got := tellContainers(many, names); !strings.HasSuffix(got, ", mail, 5 more") {
		t.Errorf("%q", got)
	}
}
