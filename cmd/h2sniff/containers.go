// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"strings"

	"h2sniff/capture/container"
)

// maxContainersTold bounds the line that names them.
const maxContainersTold = 20

// containersThere names the containers in which processes run now.
func containersThere() string {
	all, err := container.Running()
	if err != nil {
		return fmt.Sprintf("which containers there are: %v", err)
	}
	return tellContainers(all, new(container.Names).Of)
}

func tellContainers(all []container.Container, namesOf func(container.Container) []string) string {
	if len(all) == 0 {
		return "no process runs in a container that is known as one"
	}
	var told []string
	for i, c := range all {
		if i == maxContainersTold {
			told = append(told, fmt.Sprintf("%d more", len(all)-i))
			break
		}
		id := c.String()
		names := strings.Join(namesOf(c), ", ")
		if names != "" && names != id {
			id += " (" + names + ")"
		}
		told = append(told, id)
	}
	return "containers there are: " + strings.Join(told, ", ")
}
