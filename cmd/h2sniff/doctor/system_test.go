// SPDX-License-Identifier: Apache-2.0

package doctor

import "testing"

func TestProcessor(t *testing.T) {
	for name, want := range map[string]Level{"amd64": OK, "arm64": Missing, "riscv64": Broken} {
		var s Section
		s.processor(name)
		if len(s.Checks) != 1 || s.Checks[0].Level != want {
			t.Errorf("%s: %+v, want one check at level %v", name, s.Checks, want)
		}
	}
}
