package main

import (
	"strings"

	"github.com/spf13/cobra"

	"github.com/dhowhq/dhow/service"
	"github.com/dhowhq/dhow/store"
)

// mostCompletions is how many names a shell is given to choose from.
const mostCompletions = 500

// completeImages makes a shell complete the first n arguments, or all of them for 0, with
// the names of the local store.
func (a *app) completeImages(n int) cobra.CompletionFunc {
	return func(cmd *cobra.Command, given []string, typed string) ([]string, cobra.ShellCompDirective) {
		if n > 0 && len(given) >= n {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		names, err := a.localNames(cmd, typed)
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp // there is nobody to tell
		}
		return names, cobra.ShellCompDirectiveNoFileComp
	}
}

// completeImagesAndPlaces makes a shell complete one argument with the names of the local store
// and with the transports.
func (a *app) completeImagesAndPlaces(cmd *cobra.Command, given []string, typed string) ([]string, cobra.ShellCompDirective) {
	places, directive := a.completePlaces(1)(cmd, given, typed)
	if len(given) > 0 {
		return places, directive
	}
	names, _ := a.completeImages(1)(cmd, given, typed)
	return append(names, places...), directive
}

// completePush makes a shell complete an image of the local store, and then where it goes.
func (a *app) completePush(cmd *cobra.Command, given []string, typed string) ([]string, cobra.ShellCompDirective) {
	if len(given) == 0 {
		return a.completeImages(1)(cmd, given, typed)
	}
	return a.completePlaces(2)(cmd, given, typed)
}

// localNames returns the familiar names in the local store that begin so.
func (a *app) localNames(cmd *cobra.Command, begin string) (names []string, err error) {
	a.store.wait = 0 // nobody waits for words to choose from
	opened, err := a.shareStore(cmd.Context(), storeLook)
	if err != nil {
		return nil, err
	}
	defer func() { err = opened.Close() }()
	err = opened.View(cmd.Context(), func(r store.NameReader) error {
		records, err := r.List("", 0)
		for _, rec := range records {
			if name := service.Familiar(rec); !rec.Dangling() && strings.HasPrefix(name, begin) && len(names) < mostCompletions {
				names = append(names, name)
			}
		}
		return err
	})
	return names, err
}
