// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"os"

	"h2sniff/capture/recording"
	"h2sniff/decode/store"
)

// runRecord writes events to a file until the source ends or ctx does.
func runRecord(ctx context.Context, o *options, std stdio) error {
	if o.write == "-" && isStream(os.Stdout) {
		var stop func()
		ctx, stop = whileRead(ctx, os.Stdout)
		defer stop()
	}
	s, err := openSession(ctx, o)
	if err != nil {
		return err
	}
	w, err := o.createRecording(s.start)
	if err != nil {
		s.stop()
		return errors.Join(err, s.Close())
	}
	tee := recording.NewTee(s, w)
	// Decoding on the way says which connections are not HTTP/2, and gives the
	// figures of the summary; no row has to be kept for that.
	st := store.New(store.Options{History: minHistory})
	p := &pump{src: tee, store: st}
	p.assumeHTTP2 = o.assumeH2
	p.after = tee.Err
	s.tellTime(p, tee)
	err = runSession(ctx, s, p, nil)
	stats := tee.Stats()
	if closeErr := tee.Close(); err == nil {
		err = closeErr
	}
	summarise(std.stderr, st.Snapshot(), stats, s.live.coverage())
	if err == nil {
		o.tellWritten(std.stderr, w, tee.DecodeAs(), tee.MadeUp())
	}
	return err
}
