//! Chooses which of several events a profile shows.

use std::sync::Arc;

use super::events::EventTable;
use super::samples::Samples;
use super::tables::Profile;

impl Profile {
    /// Adds the table of all events. `shown_index` is the index of the event that the profile shows: the samples of the
    /// profile are those of this event.
    pub fn set_event_table(&mut self, table: EventTable, shown_index: usize) {
        (self.event_table, self.shown_event_index) = (Some(Arc::new(table)), shown_index);
    }

    /// Returns the index of the shown event in [`EventTable::events`]. 0 if there is no table.
    pub fn shown_event_index(&self) -> usize {
        self.shown_event_index
    }

    /// Returns all events of the profile. `None` if the profile has only the shown event.
    pub fn event_table(&self) -> Option<&EventTable> {
        self.event_table.as_deref()
    }

    /// Shows the event at this index of [`EventTable::events`]. A row becomes a sample unless its count and weight are
    /// both 0, or one of them is negative. Does nothing if there is no such event.
    pub fn show_event(&mut self, at: usize) {
        let Some(table) = &self.event_table else { return };
        let Some(event) = table.events.get(at) else { return };
        let mut samples = Samples::default();
        for sample in table.samples(event).filter(|sample| sample.count > 0 || sample.weight > 0) {
            samples.add(sample);
        }
        (self.samples, self.event, self.shown_event_index) = (samples, event.event.clone(), at);
    }

    /// Returns a profile with a sample for each row of the event table, at the index of the row. Samples whose count or
    /// weight for the shown event is negative have 0 for both. `None` if there is no table.
    pub fn with_all_rows(&self) -> Option<Self> {
        let table = self.event_table()?;
        let mut all = self.clone();
        all.samples = table.samples(&table.events[self.shown_event_index]).collect();
        Some(all)
    }
}

#[cfg(test)]
mod tests {
    use super::{EventTable, Profile, Samples};
    use crate::profile::fixture::Fixture;
    use crate::profile::{Event, Quantity, Sample, StackId, TableEvent, TaskId, Unit};

    fn event(name: &str, count: usize, weight: usize, scale: u64) -> TableEvent {
        let count_name = if count == weight { name } else { "objects" }.to_owned();
        TableEvent {
            event: Event { name: name.to_owned(), count_name, unit: Unit::Bytes, frequency: 0 },
            count,
            weight,
            scale,
        }
    }

    /// A profile of two stacks, with objects, bytes in use, and kilobytes allocated. It shows the bytes in use.
    fn heap() -> Profile {
        let mut fixture = Fixture::new();
        fixture.add("app", "main.main|main.keep", 1);
        fixture.add("app", "main.main|main.drop", 1);
        let mut profile = fixture.profile;
        let [keep, drop] = [0, 1].map(|at: usize| profile.samples()[at]);
        let quantities =
            ["objects", "inuse", "alloc"].map(|name| Quantity { name: name.to_owned(), unit: String::new() });
        let events = vec![event("objects", 0, 0, 1), event("inuse", 0, 1, 1), event("alloc", 2, 2, 1000)];
        let mut table = EventTable::new(quantities.to_vec(), events);
        let added = [
            table.add(keep.stack, keep.task, &[1, 100, 3]),
            table.add(keep.stack, keep.task, &[1, 100, 4]),
            table.add(drop.stack, drop.task, &[0, 0, 50]),
            table.add(keep.stack, keep.task, &[-1, 5, 1]),
            table.add(keep.stack, keep.task, &[0, 7, 0]),
        ];
        assert_eq!(added, [true, false, true, true, true], "only rows without a negative value are merged");
        profile.set_event_table(table, 1);
        profile.show_event(1);
        profile
    }

    fn values(profile: &Profile) -> Vec<(u64, u64)> {
        profile.samples().iter().map(|sample| (sample.count, sample.weight)).collect()
    }

    #[test]
    fn every_event_of_the_table_can_be_shown() {
        let mut profile = heap();
        assert_eq!(
            (profile.event.name.as_str(), values(&profile)),
            ("inuse", vec![(2, 207)]),
            "negative rows are left out"
        );
        profile.show_event(2);
        assert_eq!((profile.event.name.as_str(), values(&profile)), ("alloc", vec![(8000, 8000), (50_000, 50_000)]));
        profile.show_event(0);
        assert_eq!(values(&profile), [(2, 2)]);
        profile.show_event(7);
        assert_eq!(profile.event.name, "objects", "there is no such event");
        let all_rows = profile.with_all_rows().expect("a table");
        assert_eq!(values(&all_rows), [(2, 2), (0, 0), (0, 0), (0, 0)]);
        let columns = profile.distinct_samples().columns;
        assert_eq!(columns, [[2, 0, -1], [207, 0, 5], [7, 50, 1]]);
    }

    #[test]
    fn changes_of_samples_and_stacks_apply_to_all_events() {
        let names = |profile: &Profile| -> Vec<String> {
            let name = |(stack, _): &(StackId, TaskId)| {
                let frames = profile.frames_leaf_first(*stack);
                let names: Vec<_> = frames.map(|frame| profile.str(profile.function(frame.function).display)).collect();
                names.join(" ")
            };
            profile.event_table().expect("a table").rows().iter().map(name).collect()
        };
        let dropped = heap().samples()[0].stack;
        let mut profile = heap();
        profile.retain_samples(|stack, _| stack != dropped);
        assert_eq!((profile.samples(), names(&profile)), (&[][..], vec!["main.drop main.main".to_owned()]));
        assert_eq!(profile.event_table().expect("a table").columns(), [[0], [0], [50]]);
        profile.show_event(2);
        let Sample { count, weight, .. } = profile.samples()[0];
        assert_eq!((count, weight), (50_000, 50_000));

        let reversed = profile.reversed();
        assert_eq!(names(&reversed), ["main.main main.drop"]);
        let main = profile.leaf(profile.samples()[0].stack).expect("a frame").function;
        profile.retain_callees_of(|_, frame| frame.function == main);
        assert_eq!(names(&profile), ["main.drop"]);
        profile.set_samples(profile.stacks().clone(), Samples::default());
        assert!(profile.event_table().is_none());
    }
}
