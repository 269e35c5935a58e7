// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"golang.org/x/net/http2"

	"h2sniff/capture"
	"h2sniff/decode"
)

// place is where a frame begins: a direction and a position in it.
type place struct {
	dir capture.Direction
	pos uint64
}

// decoded is what the decoder makes of a connection's events.
type decoded struct {
	frames map[place]*decode.Row
	order  []place
	gaps   map[decode.GapReason]uint64 // octets
}

// decodeEvents decodes events whose octets begin at the positions base. tell,
// where set, is called behind each event.
func decodeEvents(events []capture.Event, fresh bool, base [2]uint64, tell func(i int, d *decoded)) *decoded {
	d := &decoded{frames: make(map[place]*decode.Row), gaps: make(map[decode.GapReason]uint64)}
	c := decode.NewConn(1)
	pos := base
	gap := uint64(0) // of the octets of the last gap, those that the next frame counts too
	emit := func(r *decode.Row) {
		switch r.Kind {
		case decode.RowPreface:
			pos[r.Direction] += uint64(len(http2.ClientPreface))
		case decode.RowGap:
			d.gaps[r.GapReason] += r.GapBytes
			pos[r.Direction] += r.GapBytes
			gap = r.GapBytes
		case decode.RowFrame:
			at := pos[r.Direction]
			if r.Missing > 0 {
				at -= gap
				pos[r.Direction] -= uint64(r.Missing)
			}
			pos[r.Direction] += 9 + uint64(r.Header.Length)
			row := *r
			row.Payload = nil
			row.Fields = slices.Clone(r.Fields)
			if r.Table != nil {
				table := *r.Table
				row.Table = &table
			}
			p := place{r.Direction, at}
			d.frames[p] = &row
			d.order = append(d.order, p)
		}
	}
	c.Feed(&capture.Event{Kind: capture.Open, Conn: 1, Info: &capture.ConnInfo{Fresh: fresh}}, emit)
	for i := range events {
		ev := events[i]
		ev.Conn = 1
		ev.Offset -= base[ev.Direction]
		c.Feed(&ev, emit)
		if tell != nil {
			tell(i, d)
		}
	}
	c.Feed(&capture.Event{Kind: capture.Close, Conn: 1}, emit)
	return d
}

// busiest gives the events of a recording that moved octets of its only
// connection with frames.
func busiest(t testing.TB, path string) []capture.Event {
	t.Helper()
	octets := make(map[capture.ConnID]int)
	all := readRecording(t, path)
	most := capture.ConnID(0)
	for _, ev := range all {
		if octets[ev.Conn] += len(ev.Data); octets[ev.Conn] > octets[most] {
			most = ev.Conn
		}
	}
	return slices.DeleteFunc(all, func(ev capture.Event) bool { return ev.Kind != capture.Data || ev.Conn != most })
}

// wantTrue wants what is said to be exact of a field section to be the truth,
// which is whole. It returns how many fields are exact.
func wantTrue(t testing.TB, where string, got, truth *decode.Row) (exact int) {
	t.Helper()
	if got.Header != truth.Header {
		t.Fatalf("%s: %+v, it is %+v", where, got.Header, truth.Header)
	}
	if !got.HasFields {
		return 0
	}
	if len(got.Fields) != len(truth.Fields) {
		t.Fatalf("%s: %d fields, there are %d", where, len(got.Fields), len(truth.Fields))
	}
	for i := range got.Fields {
		g, w := &got.Fields[i], &truth.Fields[i]
		if g.NameKnown && g.Name != w.Name || g.ValueKnown && g.Value != w.Value || g.Encoding != w.Encoding {
			t.Fatalf("%s: field %d is %+v, truly %+v", where, i, g, w)
		}
		if g.Trust == decode.TrustExact {
			exact++
		}
	}
	return exact
}

// bookkeeping is what can be known of one direction by an observer who saw no
// entry of the dynamic table that was inserted up to the insert index since.
type bookkeeping struct {
	since    int64
	nameless map[int64]bool // later entries, inserted with the name of one not seen
}

// knowable counts the fields of a row that can be known, name and value.
func (b *bookkeeping) knowable(r *decode.Row) (n int) {
	inserted := r.Table.Inserted - int64(r.Table.Added)
	for i := range r.Fields {
		e := r.Fields[i].Encoding
		refers := inserted - int64(e.Index()) + decode.StaticEntries + 1
		known := e.Index() == 0 || e.Static() || refers > b.since && !b.nameless[refers]
		if known {
			n++
		}
		if e.Form() == decode.FormIncremental && r.Fields[i].TableSize() <= r.Table.Max {
			inserted++
			b.nameless[inserted] = !known
		}
	}
	return n
}

// clientProgram makes 1,000 requests over one connection.
type clientProgram struct {
	name   string
	server func(testing.TB) *server
	run    func(t testing.TB, s *server, requests int)
}

func manyRequests() []clientProgram {
	nginx := func(t testing.TB) *server { return startNginx(t, 1) }
	h2o := func(t testing.TB) *server { return startH2O(t, 1) }
	curl := func(t testing.TB, s *server, requests int) {
		var config bytes.Buffer
		for i := range requests {
			if i > 0 {
				config.WriteString("next\n")
			}
			fmt.Fprintf(&config, "insecure\nsilent\nhttp2\nurl=%q\noutput=/dev/null\nheader=\"x-request: %d\"\ncookie=\"session=%d\"\n",
				s.url(fmt.Sprintf("/file%d?page=%d", i%20, i%150)), i, i%9)
		}
		path := filepath.Join(t.TempDir(), "curlrc")
		if err := os.WriteFile(path, config.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
		run(t, "curl", "-K", path)
	}
	h2load := func(args ...string) func(testing.TB, *server, int) {
		return func(t testing.TB, s *server, requests int) {
			all := append([]string{"-n", fmt.Sprint(requests), "-c", "1", "-m", "5"}, args...)
			for i := range 100 {
				all = append(all, s.url(fmt.Sprintf("/file%d?page=%d", i%20, i)))
			}
			run(t, "h2load", all...)
		}
	}
	node := func(t testing.TB, s *server, requests int) {
		run(t, "node", "testdata/requests.js", s.url(""), fmt.Sprint(requests))
	}
	return []clientProgram{
		{"curl to nginx", nginx, curl},
		{"curl to h2o", h2o, curl},
		{"h2load to nginx", nginx, h2load()},
		{"h2load to nghttpd, 64 KiB tables", func(t testing.TB) *server {
			return startNghttpd(t, 1, "--header-table-size=65536", "--encoder-header-table-size=65536")
		}, h2load("--header-table-size=65536", "--encoder-header-table-size=65536")},
		{"node to nginx", nginx, node},
		{"node to h2o", h2o, node},
	}
}

// recordRequests records requests that a client makes over one connection.
func recordRequests(t testing.TB, c clientProgram, requests int) []capture.Event {
	t.Helper()
	s := c.server(t)
	for i := range 20 {
		s.file(t, fmt.Sprintf("file%d", i), 1+i*i*40)
	}
	return busiest(t, recordPID(t, s.pid, func() { c.run(t, s, requests) }))
}

// TestAttachAtBlock100: of real connections of 1,000 requests, all but the
// first 100 field blocks are seen. No value is wrong, no frame is missed, and
// as many fields are exact as can be known.
func TestAttachAtBlock100(t *testing.T) {
	needPrograms(t, "curl", "h2load", "node")
	t.Parallel()
	for _, c := range manyRequests() {
		t.Run(c.name, func(t *testing.T) {
			const requests, seenFrom = 1000, 100
			events := recordRequests(t, c, requests)
			cut, blocks := 0, [2]int{}
			var since [2]int64 // entries inserted before the cut
			var base [2]uint64
			whole := decodeEvents(events, true, [2]uint64{}, func(i int, d *decoded) {
				if cut > 0 {
					return
				}
				base[events[i].Direction] = events[i].Offset + events[i].Length
				blocks, since = [2]int{}, [2]int64{}
				for _, p := range d.order {
					if r := d.frames[p]; r.HasFields {
						blocks[p.dir]++
						since[p.dir] = r.Table.Inserted
					}
				}
				if min(blocks[0], blocks[1]) >= seenFrom {
					cut = i + 1
				}
			})
			if cut == 0 || len(whole.gaps) > 0 {
				t.Fatalf("%d and %d blocks, gaps %v", blocks[0], blocks[1], whole.gaps)
			}
			late := decodeEvents(events[cut:], false, base, nil)
			var fields, exact, could [2]int
			books := [2]bookkeeping{{since[0], map[int64]bool{}}, {since[1], map[int64]bool{}}}
			missed := 0
			for _, p := range whole.order {
				truth := whole.frames[p]
				if p.pos < base[p.dir] {
					continue
				}
				got := late.frames[p]
				if got == nil {
					missed++
					continue
				}
				if truth.HasFields && got.HasFields {
					fields[p.dir] += len(truth.Fields)
					could[p.dir] += books[p.dir].knowable(truth)
				}
				exact[p.dir] += wantTrue(t, fmt.Sprintf("%v at %d", p.dir, p.pos), got, truth)
			}
			for p, r := range late.frames {
				if whole.frames[p] == nil {
					t.Errorf("a frame %+v at %d, where none is", r.Header, p.pos)
				}
			}
			// The server is recorded: it receives requests.
			for _, d := range []capture.Direction{capture.Recv, capture.Send} {
				what := map[capture.Direction]string{capture.Recv: "requests", capture.Send: "responses"}[d]
				t.Logf("%s: %d of %d fields exact, %.1f %%; exact bookkeeping: %d", what, exact[d], fields[d], 100*float64(exact[d])/float64(fields[d]), could[d])
				if exact[d] < could[d] {
					t.Errorf("%s: %d fields exact, %d can be known", what, exact[d], could[d])
				}
				if fields[d] < (requests-seenFrom)*2 {
					t.Errorf("%s: only %d fields", what, fields[d])
				}
			}
			// Where the cut is in the middle of a frame, the next one is found.
			if missed > 2 {
				t.Errorf("%d frames missed", missed)
			}
		})
	}
}

// TestEachEventLost: of real connections, each event is taken away in turn,
// once as a hole between positions and once told as lost. No value that is
// said to be exact differs from the truth, and every frame outside the damage
// is found, but for few of DATA.
func TestEachEventLost(t *testing.T) {
	needPrograms(t, "curl", "h2load", "node")
	t.Parallel()
	for _, c := range manyRequests() {
		t.Run(c.name, func(t *testing.T) {
			events := recordRequests(t, c, 40)
			whole := decodeEvents(events, true, [2]uint64{}, nil)
			compared, missed, wanted := 0, 0, 0
			for i, lost := range events {
				for _, told := range []bool{false, true} {
					rest := slices.Clone(events)
					if told {
						rest[i].Kind, rest[i].Data = capture.Lost, nil
					} else {
						rest = slices.Delete(rest, i, i+1)
					}
					where := fmt.Sprintf("event %d of %d lost (%v %d, %d octets), told %v", i, len(events), lost.Direction, lost.Offset, lost.Length, told)
					got := decodeEvents(rest, true, [2]uint64{}, nil)
					for p, r := range got.frames {
						truth := whole.frames[p]
						if truth == nil {
							t.Fatalf("%s: a frame %+v at %v %d, where none is", where, r.Header, p.dir, p.pos)
						}
						compared += wantTrue(t, where, r, truth)
					}
					missed += wantFound(t, where, whole, got, lost)
					wanted += len(whole.order)
				}
			}
			t.Logf("%d events, %d frames, %d exact fields compared, %d of %d frames missed", len(events), len(whole.order), compared, missed, wanted)
			if missed > wanted/1000 {
				t.Errorf("%d frames of DATA missed of %d", missed, wanted)
			}
			if len(events) < 20 || compared < 10_000 {
				t.Errorf("only %d events, %d fields", len(events), compared)
			}
		})
	}
}

// wantFound wants every frame that lost did not touch. A frame of unknown type
// or without payload says too little to begin with, right behind the damage, and
// so can one of DATA, of which those that are missed are counted.
func wantFound(t testing.TB, where string, whole, got *decoded, lost capture.Event) (missed int) {
	t.Helper()
	skipping := false
	for _, p := range whole.order {
		h := whole.frames[p].Header
		end := p.pos + 9 + uint64(h.Length)
		inDir := p.dir == lost.Direction
		cut := inDir && end > lost.Offset && p.pos < lost.Offset+lost.Length
		skipping = skipping || cut || inDir && p.pos == lost.Offset+lost.Length
		if got.frames[p] != nil {
			if inDir && !cut {
				skipping = false
			}
			continue
		}
		if cut || inDir && skipping && (h.Length == 0 || h.Type > 0x10) {
			continue
		}
		if inDir && skipping && h.Type == http2.FrameData {
			missed++
			continue
		}
		t.Fatalf("%s: the frame %+v at %v %d is missed", where, h, p.dir, p.pos)
	}
	return missed
}
