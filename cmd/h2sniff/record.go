// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"

	"h2sniff/capture/recording"
	"h2sniff/decode/store"
)

// runRecord writes events to a file until the source ends or ctx does.
func runRecord(ctx context.Context, o *options, std stdio) error {
	commandOut := std.out
	if o.write == "-" {
		commandOut = std.stderr
	}
	s, err := openSession(ctx, o, std, std.stderr, commandOut)
	if err != nil {
		return err
	}
	w, err := recording.Create(o.write, recording.Options{Start: s.start, Version: version()})
	if err != nil {
		s.stop()
		return errors.Join(fmt.Errorf("creating the recording: %w", err), s.Close())
	}
	tee := recording.NewTee(s, w)
	// Decoding on the way says which connections are not HTTP/2, and gives the
	// figures of the summary; no row has to be kept for that.
	st := store.New(store.Options{History: minHistory})
	p := &pump{src: tee, store: st}
	p.assumeHTTP2 = o.assumeH2
	p.after = tee.Err
	err = runSession(ctx, s, p, nil)
	stats := tee.Stats()
	err = errors.Join(err, tee.Close())
	if err == nil {
		err = tee.Err()
	}
	summarise(std.stderr, st.Snapshot(), stats)
	if how := tee.DecodeAs(); how != "" && o.write != "-" && err == nil {
		fmt.Fprintf(std.stderr, "h2sniff: to read it elsewhere: tshark -r %s %s\n", o.write, how)
	}
	return err
}
