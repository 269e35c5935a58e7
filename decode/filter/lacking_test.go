// SPDX-License-Identifier: Apache-2.0

package filter

import "testing"

// TestLacking: a != that rows without the field match is told of, unless the
// field is asked for beside it.
func TestLacking(t *testing.T) {
	for text, want := range map[string]string{
		"grpc.status != OK":                                    "grpc.status",
		"stream == 3 && status != 200":                         "status",
		"type == DATA || path != /":                            "path",
		`header["user-agent"] != curl`:                         `header["user-agent"]`,
		`header["x-a"] && header["x-b"] != 1`:                  `header["x-b"]`,
		"(status != 200 || dir == send) && method":             "status",
		"grpc.status && grpc.status != OK":                     "",
		"status in (1..999) && (status != 200 || dir==send)":   "",
		"type != PING && stream != 0 && dir != recv":           "",
		"!(status == 200)":                                     "", // says so itself
		"type in (RST_STREAM, GOAWAY) && error != NO_ERROR":    "",
		`header["X-A"] && header["x-a"] != 1`:                  "",
		"(path && path != /health) || (method && method!=GET)": "",
	} {
		e, err := Parse(text)
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		if got := e.Lacking(); got != want {
			t.Errorf("%s: %q, want %q", text, got, want)
		}
	}
}
