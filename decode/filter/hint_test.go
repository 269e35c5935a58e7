// SPDX-License-Identifier: Apache-2.0

package filter

import "testing"

// TestHint: a conjunction of fields that no frame has together is told of,
// wherever it stands, and no other.
func TestHint(t *testing.T) {
	const pathStatus = "no valid frame has both path and status: path is of requests, status of responses"
	for text, want := range map[string]string{
		"status>=500 && path contains /api": pathStatus,
		"path && status":                    pathStatus,
		"stream == 3 && (path == / && dir == send) && status in (200)":  pathStatus,
		"error || status==200 && path==/":                               pathStatus,
		"!(status==200 && path==/)":                                     pathStatus,
		"(path==/a || path==/b) && status==200":                         pathStatus,
		"method == POST && (grpc.status==OK || grpc.status==CANCELLED)": "no valid frame has both method and grpc.status: method is of requests, grpc.status of responses",
		"authority contains x && grpc.status": "no valid frame has both authority and grpc.status: " +
			"authority is of requests, grpc.status of responses",
		"status>=500 || path contains /api":                 "",
		"status>=500 && path != /health":                    "", // holds for rows without a path
		"status>=500 && !(path == /health)":                 "",
		"status>=500 && (path == / || error)":               "",
		"status>=500 && grpc.status":                        "",
		"method == POST && path contains /v1":               "",
		`header["content-type"] contains grpc && status`:    "",
		"(path==/ && method==GET) || (status==200 && diag)": "",
		"(path==/ || status==200) && (status==200 || path)": "",
	} {
		e, err := Parse(text)
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		if got := e.Hint(); got != want {
			t.Errorf("%s: %q, want %q", text, got, want)
		}
	}
}
