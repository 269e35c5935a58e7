// SPDX-License-Identifier: Apache-2.0

package bpf

import "testing"

// TestProbeFeatures: what is said to be there agrees with what loads.
func TestProbeFeatures(t *testing.T) {
	needRoot(t)
	missing := make(map[string]error)
	for _, f := range ProbeFeatures() {
		if f.Err != nil {
			missing[f.Name] = f.Err
			if f.Fallback == "" {
				t.Errorf("%s: %v", f.Name, f.Err)
			}
		}
	}
	objs, err := Load(Options{RingBytes: 1 << 16})
	if err != nil {
		t.Fatal(err)
	}
	defer objs.Close()
	if objs.Sleepable != (missing["sleepable uprobes"] == nil) || objs.Multi != (missing["uprobe.multi links"] == nil) {
		t.Errorf("mode %+v, missing %v", objs.Mode, missing)
	}
}
