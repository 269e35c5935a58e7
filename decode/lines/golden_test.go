// SPDX-License-Identifier: Apache-2.0

package lines

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the golden files anew")

func write(t *testing.T, o Options, rows []written) string {
	t.Helper()
	o.Start = start
	var b bytes.Buffer
	w := NewWriter(&b, o)
	for _, r := range rows {
		if err := w.Write(r.e, r.c); err != nil {
			t.Fatal(err)
		}
	}
	return b.String()
}

func TestGolden(t *testing.T) {
	rows := everything(t)
	for _, tt := range []struct {
		file string
		o    Options
	}{
		{"text.golden", Options{}},
		{"text-body.golden", Options{Body: true}},
		{"text-stream.golden", Options{Stream: 13, HasStream: true}},
		{"plain.golden", Options{Format: Plain}},
		{"plain-stream.golden", Options{Format: Plain, Stream: 0, HasStream: true}},
		{"json.golden", Options{Format: JSON}},
		{"json-body.golden", Options{Format: JSON, Body: true}},
		{"json-verbose.golden", Options{Format: JSON, Verbose: true}},
	} {
		t.Run(tt.file, func(t *testing.T) {
			got := write(t, tt.o, rows)
			file := filepath.Join("testdata", tt.file)
			if *update {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

// docs/json.md is the contract: each key that is written is in it, and its
// examples are lines that are written.
func TestDocumentation(t *testing.T) {
	doc, err := os.ReadFile("../../docs/json.md")
	if err != nil {
		t.Fatal(err)
	}
	var missed bytes.Buffer
	if err := NewWriter(&missed, Options{Format: JSON}).Missed(17); err != nil {
		t.Fatal(err)
	}
	unfollowed := Unfollowed{Processes: 3, AtLeast: true, Late: 2, LateBy: 4500 * time.Microsecond}
	if err := NewWriter(&missed, Options{Format: JSON}).Unfollowed(unfollowed); err != nil {
		t.Fatal(err)
	}
	out := missed.String() + write(t, Options{Format: JSON}, everything(t)) + write(t, Options{Format: JSON, Body: true, Verbose: true}, everything(t))
	keys := make(map[string]bool)
	var walk func(v any)
	walk = func(v any) {
		switch v := v.(type) {
		case map[string]any:
			for k, v := range v {
				keys[k] = true
				walk(v)
			}
		case []any:
			for _, v := range v {
				walk(v)
			}
		}
	}
	for line := range strings.Lines(out) {
		var v map[string]any
		if err := json.Unmarshal([]byte(line), &v); err != nil {
			t.Fatalf("%v in %s", err, line)
		}
		walk(v)
	}
	documented := make(map[string]bool)
	for _, m := range regexp.MustCompile("(?m)^\\| `([a-z0-9_]+)`").FindAllStringSubmatch(string(doc), -1) {
		documented[m[1]] = true
	}
	for k := range keys {
		if !documented[k] && !documented[strings.TrimSuffix(k, "_base64")] {
			t.Errorf("key %q is not in docs/json.md", k)
		}
	}
	for k := range documented {
		if !keys[k] {
			t.Errorf("docs/json.md has key %q, which the traffic of this test does not bring", k)
		}
	}
	examples := 0
	for line := range strings.Lines(string(doc)) {
		if strings.HasPrefix(line, "{") {
			examples++
			if !strings.Contains(out, line) {
				t.Errorf("this example in docs/json.md is not a line that is written:\n%s", line)
			}
		}
	}
	if examples < 6 {
		t.Errorf("docs/json.md has %d examples, want one a kind", examples)
	}
}
