// SPDX-License-Identifier: Apache-2.0

package decode

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"h2sniff/capture"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// corpus gives the path of a folder of public test data, which lies beside the
// repository.
func corpus(t *testing.T, name string) string {
	t.Helper()
	dir := filepath.Join("..", "..", "shared", "corpus", name)
	if _, err := os.Stat(dir); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("public test data is not there: %v", err)
		}
		t.Skipf("public test data is not there: %v", err)
	}
	return dir
}

func readJSON(t *testing.T, file string, v any) {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, v); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
}

func TestCorpusFrames(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(corpus(t, "http2-frame-test-case"), "*", "*.json"))
	if err != nil || len(files) < 34 {
		t.Fatalf("%d cases, %v", len(files), err)
	}
	for _, file := range files {
		t.Run(filepath.Base(filepath.Dir(file))+"/"+filepath.Base(file), func(t *testing.T) {
			var c struct {
				Wire  string
				Error []http2.ErrCode
				Frame *struct {
					Length  uint32
					Type    http2.FrameType
					Flags   http2.Flags
					Stream  uint32         `json:"stream_identifier"`
					Payload map[string]any `json:"frame_payload"`
				}
			}
			readJSON(t, file, &c)
			wire := unhex(c.Wire)
			if c.Frame == nil {
				row := inConnection(t, wire)
				if row.Err == nil || !slices.Contains(c.Error, row.Err.Code) {
					t.Errorf("error %v, want one of %v", row.Err, c.Error)
				}
				return
			}
			h := parseHeader(wire)
			if want := (FrameHeader{c.Frame.Length, c.Frame.Type, c.Frame.Flags, c.Frame.Stream}); h != want {
				t.Fatalf("%+v, want %+v", h, want)
			}
			p, ferr := ParsePayload(h, wire[frameHeaderSize:])
			if ferr != nil {
				t.Fatal(ferr)
			}
			comparePayload(t, p, h, c.Frame.Payload)
		})
	}
}

// inConnection gives the row of a server's frame in a connection that has
// just begun.
func inConnection(t *testing.T, wire []byte) Row {
	t.Helper()
	settings := unhex("000000040000000000")
	client := append([]byte(http2.ClientPreface), settings...)
	server := append(bytes.Clone(settings), wire...)
	col, _ := decodeAll(true, []capture.Event{
		{Kind: capture.Data, Direction: capture.Send, Length: uint64(len(client)), Data: client},
		{Kind: capture.Data, Direction: capture.Recv, Length: uint64(len(server)), Data: server},
	})
	frames := col.frames()
	if len(frames) != 3 {
		t.Fatalf("%d frames", len(frames))
	}
	return frames[2].Row
}

// comparePayload compares what a corpus case says of a payload.
func comparePayload(t *testing.T, p Payload, h FrameHeader, want map[string]any) {
	t.Helper()
	for name, w := range want {
		var got any
		switch name {
		case "data":
			got = string(p.Data)
		case "header_block_fragment":
			got = string(p.Fragment)
		case "padding":
			continue // not kept apart
		case "padding_length":
			if p.HasPad {
				got = float64(p.PadLength)
			}
		case "stream_dependency", "weight", "exclusive":
			if p.Priority != nil {
				got = map[string]any{"stream_dependency": float64(p.Priority.StreamDep),
					"weight": float64(p.Priority.Weight), "exclusive": p.Priority.Exclusive}[name]
			}
		case "error_code":
			got = float64(p.ErrorCode)
		case "last_stream_id":
			got = float64(p.LastStream)
		case "additional_debug_data":
			got = string(p.DebugData)
		case "settings":
			list := []any{}
			for _, s := range p.Settings {
				list = append(list, []any{float64(s.ID), float64(s.Value)})
			}
			got = list
		case "promised_stream_id":
			got = float64(p.PromisedStream)
		case "opaque_data":
			got = string(p.Ping[:])
		case "window_size_increment":
			got = float64(p.Increment)
		default:
			t.Errorf("the case has a field %q that is not compared", name)
			continue
		}
		if fmt.Sprint(got) != fmt.Sprint(w) {
			t.Errorf("%s of %s: %v, want %v", name, TypeName(h.Type), got, w)
		}
	}
}

type story struct {
	Cases []struct {
		Wire      string
		Headers   []map[string]string
		TableSize uint64 `json:"header_table_size"`
	}
}

func (s *story) fields(i int) (out []hpack.HeaderField) {
	for _, m := range s.Cases[i].Headers {
		for name, value := range m {
			out = append(out, hpack.HeaderField{Name: name, Value: value})
		}
	}
	return out
}

// TestCorpusHpack decodes every story whole, and again attached late at
// several of its blocks.
func TestCorpusHpack(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(corpus(t, "hpack-test-case"), "*", "*.json"))
	if err != nil || len(files) < 120 {
		t.Fatalf("%d stories, %v", len(files), err)
	}
	total, exact := 0, 0
	for _, file := range files {
		where := filepath.Base(filepath.Dir(file)) + "/" + filepath.Base(file)
		var s story
		readJSON(t, file, &s)
		for from := -1; from < min(len(s.Cases), 40); from += 4 {
			d := fromStart()
			if from >= 0 {
				d.limitKnown = false
				d.table.attach()
			}
			for i, c := range s.Cases {
				if c.TableSize > 0 {
					d.sizeLimit = max(d.sizeLimit, c.TableSize)
				}
				if i < from {
					continue
				}
				at := fmt.Sprintf("%s from block %d, block %d", where, from, i)
				if err := d.block(unhex(c.Wire)); err != nil {
					t.Fatalf("%s: %v", at, err)
				}
				for j := range d.fields {
					d.fields[j].Sensitive = false // the stories do not tell
				}
				want := s.fields(i)
				n := sameFields(t, at, d.fields, want)
				if from < 0 && n != len(want) {
					t.Fatalf("%s: %d of %d exact", at, n, len(want))
				}
				if from >= 0 {
					total += len(want)
					exact += n
				}
			}
		}
	}
	t.Logf("attached late: %d of %d fields exact, none wrong", exact, total)
}

// fuzzStreams calls f with each of the client's streams of the h2o corpus.
func fuzzStreams(t *testing.T, f func(name string, b []byte)) {
	t.Helper()
	file, err := os.Open(filepath.Join(corpus(t, "h2o-fuzz"), "http2-corpus.tar.gz"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	zr, err := gzip.NewReader(file)
	if err != nil {
		t.Fatal(err)
	}
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
		f(h.Name, b)
	}
	if n != 1272 {
		t.Errorf("%d streams, want 1272", n)
	}
}

// TestCorpusStreams decodes the fuzz streams whole and in random pieces, with
// the same result.
func TestCorpusStreams(t *testing.T) {
	rng := rand.New(rand.NewPCG(11, 12))
	frames := 0
	fuzzStreams(t, func(name string, b []byte) {
		for _, fresh := range []bool{true, false} {
			whole, c := decodeAll(fresh, []capture.Event{{Kind: capture.Data, Direction: capture.Recv, Length: uint64(len(b)), Data: b}})
			frames += len(whole.frames())
			checkAccounts(t, name, whole, c, b)
			if !bytes.HasPrefix(b, []byte(http2.ClientPreface)) {
				continue // where a frame is sought, calls count
			}
			pieces, _ := decodeAll(fresh, split(b, capture.Recv, func(left int) int { return 1 + rng.IntN(min(left, 40)) }))
			if got, want := describe(pieces), describe(whole); got != want {
				t.Fatalf("%s in pieces:\n%s\nwhole:\n%s", name, got, want)
			}
		}
	})
	if frames < 1272 {
		t.Errorf("%d frames in all", frames)
	}
}

// checkAccounts demands that the rows of an HTTP/2 connection account for
// every octet of its one direction.
func checkAccounts(t *testing.T, name string, col *collector, c *Conn, b []byte) {
	t.Helper()
	if c.Protocol() != HTTP2 {
		if len(col.frames()) > 0 {
			t.Fatalf("%s: frames of what is %v", name, c.Protocol())
		}
		return
	}
	n := 0
	for _, r := range col.rows {
		switch r.Kind {
		case RowPreface:
			n += len(http2.ClientPreface)
		case RowGap:
			n += int(r.GapBytes)
		case RowFrame:
			n += frameHeaderSize + min(len(r.Payload), int(r.Header.Length))
		}
	}
	if n != len(b) {
		t.Fatalf("%s: rows account for %d of %d octets", name, n, len(b))
	}
}

// split cuts the octets of a direction into calls.
func split(b []byte, d capture.Direction, next func(left int) int) (events []capture.Event) {
	for pos := 0; pos < len(b); {
		n := next(len(b) - pos)
		events = append(events, capture.Event{Kind: capture.Data, Direction: d, Offset: uint64(pos), Length: uint64(n), Data: b[pos : pos+n]})
		pos += n
	}
	return events
}

// describe writes all that rows say but for their times.
func describe(col *collector) string {
	var b bytes.Buffer
	for _, r := range col.rows {
		fmt.Fprintf(&b, "%v %v %+v %x missing=%d fields=%v %+v err=%v gap=%d %v\n", r.Kind, r.Direction, r.Header, r.Payload,
			r.Missing, r.HasFields, r.Fields, r.Err, r.GapBytes, r.GapReason)
	}
	return b.String()
}
