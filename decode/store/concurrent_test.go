// SPDX-License-Identifier: Apache-2.0

package store

import (
	"errors"
	"fmt"
	"sync"
	"testing"

	"golang.org/x/net/http2"

	"h2sniff/capture"
	"h2sniff/decode"
)

// Rows carry their Seq in the payload and the fields, and readers check that
// no block is used again under them.
func TestReadersWhileEvicting(t *testing.T) {
	s := small(4000, 6)
	rows := 200_000
	if testing.Short() {
		rows = 20_000
	}
	done := make(chan struct{})
	var wg sync.WaitGroup
	read := func(reader func(i int) error) {
		wg.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-done:
					return
				default:
				}
				if err := reader(i); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	check := func(v View, e *Entry) error {
		want := fmt.Sprint("row ", e.Seq)
		if string(e.Payload) != want || len(e.Fields) != 1 || e.Fields[0].Value != want || !v.has(&e.Row) {
			return fmt.Errorf("%+v: row %d has payload %q, fields %v", v, e.Seq, e.Payload, e.Fields)
		}
		return nil
	}
	for _, v := range []View{{}, {Conn: 2}, {Stream: 3, HasStream: true}, {Conn: 1, Stream: 1, HasStream: true}} {
		read(func(i int) error {
			first, end := s.Span(v)
			from := first
			if i%3 == 1 {
				from = first + (end-first)/2
			} else if i%3 == 2 && end > 40 {
				from = end - 40
			}
			last := uint64(0)
			for _, e := range s.Rows(v, from, 50) {
				if e.Seq <= last {
					return fmt.Errorf("%+v: row %d after %d", v, e.Seq, last)
				}
				last = e.Seq
				if err := check(v, &e); err != nil {
					return err
				}
			}
			s.Find(v, last)
			return nil
		})
	}
	read(func(int) error {
		snap := s.Snapshot()
		e, err := s.Frame((snap.Evicted + snap.Rows) / 2)
		if err != nil {
			if errors.Is(err, ErrEvicted) || snap.Rows == 0 {
				return nil
			}
			return err
		}
		return check(View{}, &e)
	})
	read(func(int) error {
		for _, c := range s.Conns(0, 10) {
			for _, st := range s.Streams(c.ID, 0, 20) {
				if st.Conn != c.ID {
					return fmt.Errorf("stream of %v in the list of %v", st.Conn, c.ID)
				}
			}
		}
		return nil
	})
	for i := range rows {
		text := fmt.Sprint("row ", i+1)
		s.Append(frame(capture.ConnID(1+i%3), uint32(i%7), http2.FrameHeaders, 0, text, ":path", text))
		if i%1000 == 0 {
			s.SetConn(capture.ConnID(1+i%3), decode.HTTP2, capture.Server)
		}
	}
	close(done)
	wg.Wait()
	if s.Snapshot().Evicted == 0 {
		t.Error("nothing was evicted")
	}
}
