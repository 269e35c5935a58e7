// SPDX-License-Identifier: Apache-2.0

package diagnose

import (
	"archive/tar"
	"compress/gzip"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"h2sniff/capture"
	"h2sniff/decode"
	"h2sniff/decode/visible"
)

// corpus gives the path of a folder of public test data, which lies beside the
// repository.
func corpus(t *testing.T, name string) string {
	t.Helper()
	dir := filepath.Join("..", "..", "..", "shared", "corpus", name)
	if _, err := os.Stat(dir); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("public test data is not there: %v", err)
		}
		t.Skipf("public test data is not there: %v", err)
	}
	return dir
}

// TestFrameCases: each case with an error is diagnosed as one, and no valid
// frame as malformed.
func TestFrameCases(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(corpus(t, "http2-frame-test-case"), "*", "*.json"))
	if err != nil || len(files) < 34 {
		t.Fatalf("%d cases, %v", len(files), err)
	}
	for _, file := range files {
		t.Run(filepath.Base(filepath.Dir(file))+"/"+filepath.Base(file), func(t *testing.T) {
			b, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			var c struct {
				Wire  string
				Error []int
			}
			if err := json.Unmarshal(b, &c); err != nil {
				t.Fatal(err)
			}
			wire, err := hex.DecodeString(c.Wire)
			if err != nil {
				t.Fatal(err)
			}
			s := newScript(t, capture.Client, nil, nil)
			s.server(string(wire))
			s.close()
			errs := 0
			for _, d := range s.got {
				if d.Severity == decode.Error {
					errs++
				}
			}
			if len(c.Error) > 0 && errs == 0 {
				t.Errorf("not diagnosed: %+v", s.got)
			}
			for _, code := range []string{"malformed-frame", "frame-too-large", "connection-preface"} {
				if d := s.has(code); d != nil && len(c.Error) == 0 {
					t.Errorf("valid, but %+v", *d)
				}
			}
		})
	}
}

// TestFuzzStreams puts the streams that fuzzing found for another
// implementation through: what clients of that server sent. They hold all that
// can be wrong, so nothing is known of the diagnoses but their form.
func TestFuzzStreams(t *testing.T) {
	file, err := os.Open(filepath.Join(corpus(t, "h2o-fuzz"), "http2-corpus.tar.gz"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	zr, err := gzip.NewReader(file)
	if err != nil {
		t.Fatal(err)
	}
	codes := make(map[string]int)
	n := 0
	for tr := tar.NewReader(zr); ; {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if h.Typeflag != tar.TypeReg {
			continue
		}
		b, err := io.ReadAll(tr)
		if err != nil {
			t.Fatal(err)
		}
		n++
		if len(b) == 0 {
			continue
		}
		events := []capture.Event{{Kind: capture.Data, Conn: 1, Direction: capture.Recv, Time: 1, Length: uint64(len(b)), Data: b}}
		got, frames := diagnoseEvents(events, &capture.ConnInfo{Fresh: true})
		if len(got) > int(numRules)*maxReports {
			t.Errorf("%s: %d diagnoses of %d frames", h.Name, len(got), frames)
		}
		for _, d := range got {
			codes[d.Code]++
			if d.Text == "" || visible.String(d.Text) != d.Text || d.Seq == 0 {
				t.Errorf("%s: %+v", h.Name, d)
			}
		}
	}
	if n < 1000 || len(codes) < 15 {
		t.Errorf("%d streams gave %d codes: %v", n, len(codes), codes)
	}
	t.Log(n, "streams:", codes)
}
