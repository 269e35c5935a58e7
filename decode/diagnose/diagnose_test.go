// SPDX-License-Identifier: Apache-2.0

package diagnose

import (
	"strings"
	"testing"

	"h2sniff/capture"
	"h2sniff/decode"
	"h2sniff/decode/visible"
)

var roles = []capture.Role{capture.Client, capture.Server}

func TestCases(t *testing.T) {
	for _, c := range cases {
		for _, role := range roles {
			if c.only != 0 && role != c.only {
				continue
			}
			t.Run(c.code+"/"+c.name+"/"+role.String(), func(t *testing.T) {
				s := c.raises(t, role)
				d := s.has(c.code)
				if d == nil {
					t.Fatalf("not raised; diagnoses: %+v", s.got)
				}
				if d.Severity != c.severity {
					t.Errorf("severity %s, want %s", d.Severity, c.severity)
				}
				if d.Seq == 0 || d.Seq > s.seq || d.Conn != 1 || d.Time == 0 {
					t.Errorf("hangs on nothing: %+v", *d)
				}
				if d.Section == "" && c.code != "capture-gap" {
					t.Errorf("no RFC section: %+v", *d)
				}
				if visible.String(d.Text) != d.Text {
					t.Errorf("text is not fit for a terminal: %q", d.Text)
				}
				s = c.near(t, role)
				if d := s.has(c.code); d != nil {
					t.Errorf("the near miss raises it: %+v", *d)
				}
				for _, d := range s.got {
					if d.Severity == decode.Error {
						t.Errorf("the near miss raises an error: %+v", d)
					}
				}
			})
		}
	}
}

// TestEachCodeHasACase holds the table of cases against the table of rules.
func TestEachCodeHasACase(t *testing.T) {
	cased := make(map[string]decode.Severity)
	for _, c := range cases {
		cased[c.code] = max(cased[c.code], c.severity)
	}
	for _, r := range rules[1:] {
		if r.Code == "" || r.About == "" || strings.ToLower(r.Code) != r.Code {
			t.Errorf("rule is not whole: %+v", r)
		}
		if got, ok := cased[r.Code]; !ok || got != r.Severity {
			t.Errorf("%s: highest severity in the cases is %s, in the rules %s", r.Code, got, r.Severity)
		}
		delete(cased, r.Code)
	}
	for code := range cased {
		t.Errorf("%s is no rule", code)
	}
}
