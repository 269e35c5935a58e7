// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os/exec"
	"strings"
	"testing"
)

// TestImportDirections holds the way through the house: bpf and capture at the
// bottom, then decode, then the store and what shows it, and main on top.
func TestImportDirections(t *testing.T) {
	// may lists, for each room, which of our packages and which foreign ones
	// that are reserved for some rooms it may import. Longest prefix wins.
	may := map[string][]string{
		"h2sniff/bpf":               {"github.com/cilium/ebpf"},
		"h2sniff/capture":           {},
		"h2sniff/capture/code":      {},
		"h2sniff/capture/container": {},
		"h2sniff/capture/inventory": {"h2sniff/capture/container", "h2sniff/capture/target"},
		"h2sniff/capture/target":    {"h2sniff/capture/container", "h2sniff/capture/code"},
		"h2sniff/capture/recording": {"h2sniff/capture"},
		"h2sniff/capture/pcap":      {"h2sniff/capture"},
		"h2sniff/capture/uprobe":    {"h2sniff/bpf", "h2sniff/capture", "h2sniff/capture/container", "h2sniff/capture/target", "github.com/cilium/ebpf"},
		"h2sniff/decode":            {"h2sniff/capture"},
		"h2sniff/decode/visible":    {},
		"h2sniff/decode/stream":     {"h2sniff/capture", "h2sniff/decode"},
		"h2sniff/decode/diagnose":   {"h2sniff/capture", "h2sniff/decode", "h2sniff/decode/stream", "h2sniff/decode/visible"},
		"h2sniff/decode/redact":     {"h2sniff/capture", "h2sniff/decode"},
		"h2sniff/decode/store":      {"h2sniff/capture", "h2sniff/decode"},
		"h2sniff/decode/filter":     {"h2sniff/capture", "h2sniff/decode", "h2sniff/decode/store"},
		"h2sniff/decode/lines":      {"h2sniff/capture", "h2sniff/decode", "h2sniff/decode/store", "h2sniff/decode/visible"},
		"h2sniff/decode/content":    {"h2sniff/capture", "h2sniff/decode", "h2sniff/decode/visible"},
		"h2sniff/decode/har":        {"h2sniff/capture", "h2sniff/decode", "h2sniff/decode/content", "h2sniff/decode/visible"},
		"h2sniff/tui": {"h2sniff/capture", "h2sniff/decode", "h2sniff/decode/content", "h2sniff/decode/filter",
			"h2sniff/decode/lines", "h2sniff/decode/store", "h2sniff/decode/stream", "h2sniff/decode/visible",
			"github.com/charmbracelet"},
		"h2sniff/cmd/h2sniff": {"h2sniff"},
	}
	out, err := exec.Command("go", "list", "-f", `{{.ImportPath}}{{range .Imports}} {{.}}{{end}}`, "h2sniff/...").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	packages := 0
	for line := range strings.Lines(string(out)) {
		names := strings.Fields(line)
		packages++
		room := roomOf(names[0], may)
		if room == "" {
			t.Errorf("%s is in no room: say in this test what it may import", names[0])
			continue
		}
		for _, imported := range names[1:] {
			if reserved(imported) && !allowed(imported, may[room]) {
				t.Errorf("%s must not import %s", names[0], imported)
			}
		}
	}
	if packages < len(may) {
		t.Errorf("go list names %d packages, there are %d rooms", packages, len(may))
	}
}

func roomOf(path string, may map[string][]string) string {
	if strings.HasPrefix(path, "h2sniff/cmd/h2sniff/") {
		return "h2sniff/cmd/h2sniff"
	}
	if _, ok := may[path]; ok {
		return path
	}
	return ""
}

// reserved packages are ours, and the libraries that belong to one room.
func reserved(path string) bool {
	for _, prefix := range []string{"h2sniff", "github.com/cilium/ebpf", "github.com/charmbracelet"} {
		if path == prefix || strings.HasPrefix(path, prefix+"/") {
			return true
		}
	}
	return false
}

func allowed(path string, list []string) bool {
	for _, entry := range list {
		foreign := !strings.HasPrefix(entry, "h2sniff/")
		if path == entry || foreign && strings.HasPrefix(path, entry+"/") {
			return true
		}
	}
	return false
}
