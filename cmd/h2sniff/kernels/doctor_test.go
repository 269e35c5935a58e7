//go:build kernels

// SPDX-License-Identifier: Apache-2.0

package kernels

import "strings"

// wantDoctor checks what h2sniff doctor says under the kernel of a suite.
func (m *machine) wantDoctor(suite string) {
	line, status := "  ok      uprobe.multi links: ", "0"
	switch suite {
	case "bullseye":
		line, status = "  BROKEN  attach cookies: ", "1"
	case "bookworm":
		line = "  missing uprobe.multi links: "
	}
	if said := m.section("doctor"); !strings.Contains(said, line) || m.section("unwell") != status {
		m.errorf("h2sniff doctor ends with status %s, want %s, and says, without %q:\n%s", m.section("unwell"), status, line, said)
	}
}
