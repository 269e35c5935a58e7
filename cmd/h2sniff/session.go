// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"h2sniff/capture"
	"h2sniff/capture/recording"
	"h2sniff/cmd/h2sniff/privilege"
)

// session is where events come from: live programs, a recording, or a capture
// of packets.
type session struct {
	capture.Source
	name  string // for the status line
	start int64  // Unix ns; 0 where a recording does not say
	live  *live  // nil for a file
	// streams is set for a file that may still be written while it is read.
	streams bool
	far     *progress // nil for live programs
	// recorded reads a recording of h2sniff's own; nil for all else.
	recorded *recording.Reader
	tee      *recording.Tee // nil where nothing is recorded
	report   io.Writer      // told at once that the recording has failed; may be nil
	readErr  error          // why reading ended, once runSession's done is closed
}

// openSession opens what the options name. A capture of running programs has
// begun when it returns, and the process is confined: it may write only where
// the options say, and in the folders of more.
func openSession(ctx context.Context, o *options, more ...string) (*session, error) {
	if o.read != "" {
		src, start, far, err := openFile(ctx, o.read)
		if err != nil {
			return nil, fmt.Errorf("opening the recording: %w", err)
		}
		s := &session{Source: src, name: fileName(o.read), start: start, streams: streams(o.read), far: far}
		s.recorded, _ = src.(*recording.Reader)
		o.redact.apply(s, o.assumeH2)
		return s, nil
	}
	if err := o.checkWritable(); err != nil {
		return nil, err
	}
	start := time.Now().UnixNano()
	l, err := openLive(o.socket)
	if err != nil {
		return nil, err
	}
	s := &session{Source: l.reader, name: l.name, start: start, live: l}
	if err := privilege.Confine(append(o.writes(), more...)); err != nil {
		s.stop()
		return nil, errors.Join(err, s.Close())
	}
	o.redact.apply(s, o.assumeH2)
	return s, nil
}

// goesOn says that more may come at any time: what is there is not to wait for it.
func (s *session) goesOn() bool { return s.live != nil || s.streams }

// tellTime has p, which reads from tee, told what time it is while nothing comes: by
// the reader of the ring buffer, which tells whoever reads what tee records too; or by
// whoever writes the recording that is read. Captured packets tell none, there time
// passes with the next one.
func (s *session) tellTime(p *pump, tee *recording.Tee) {
	p.live = s.goesOn()
	switch {
	case s.live != nil:
		s.live.reader.Idle = func() {
			if now := p.idle(); p.latest != 0 {
				tee.Now(now)
			}
		}
	case s.streams && s.recorded != nil:
		s.recorded.Now = p.look
	}
}

// Ignore implements capture.Ignorer.
func (s *session) Ignore(id capture.ConnID) {
	if i, ok := s.Source.(capture.Ignorer); ok {
		i.Ignore(id)
	}
}

// Close frees what the source holds. The session must have been run, or
// stopped.
func (s *session) Close() error {
	if s.live != nil {
		return s.live.free()
	}
	return s.Source.Close()
}

// stop makes the source end: what was captured so far is still read.
func (s *session) stop() {
	if s.live != nil {
		s.live.stop()
		return
	}
	s.Source.Close()
}

// runSession runs the pump beside a consumer of what it stores, and ends both:
// when the consumer returns the source is stopped, when the source ends the
// consumer is told by done. A nil consumer waits for the source.
func runSession(ctx context.Context, s *session, p *pump, consume func(ctx context.Context, done <-chan struct{}) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if s.tee != nil && s.report != nil {
		defer tellFailed(s.tee, s.report)()
	}
	done := make(chan struct{})
	var pumpErr error
	go func() {
		defer close(done)
		pumpErr = guarded(cancel, p.run)
		s.readErr = pumpErr
	}()
	if s.live != nil {
		go func() {
			select {
			case <-s.live.quit:
				cancel()
			case <-ctx.Done():
			}
		}()
	}
	stopped := make(chan struct{})
	unregister := context.AfterFunc(ctx, func() {
		defer close(stopped)
		s.stop()
	})
	var err error
	if consume != nil {
		err = consume(ctx, done)
		if errors.Is(err, errEnough) {
			err = nil
		}
		cancel()
	}
	<-done
	if !unregister() {
		<-stopped
	}
	if errors.Is(pumpErr, errEnough) {
		pumpErr = nil
	}
	err = errors.Join(err, pumpErr)
	if s.live != nil && err == nil {
		s.live.stop()
		err = s.live.outcome()
	}
	return err
}
