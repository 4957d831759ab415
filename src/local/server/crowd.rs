//! Limits the number of connections, and decides which one is closed when there are too many.
//!
//! A server without free file descriptors cannot accept connections or start Functions, so connections may take only
//! some of them. A client could take all of those, so a new connection replaces an idle one.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, MutexGuard},
    time::Instant,
};

use nix::sys::resource::{Resource, getrlimit};
use tasklane_runtime::lock::Lock;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::activity::{Activity, Standing};

/// How many connections there may be at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Over all addresses.
    pub total: usize,
    /// From one address. An IPv6 /64 network is one address.
    pub per_address: usize,
}

impl Limits {
    /// More connections than this are of no use.
    const MOST: usize = 4096;
    const FEWEST: usize = 16;

    /// The limits for a process with this many descriptors: half of them are for everything else, mainly Functions.
    pub fn of_descriptors(descriptors: u64) -> Self {
        let half = usize::try_from(descriptors / 2).unwrap_or(Self::MOST);
        let total = half.clamp(Self::FEWEST, Self::MOST);
        Self { total, per_address: total / 2 }
    }

    /// The limits for this process.
    pub fn of_this_process() -> Self {
        let descriptors = getrlimit(Resource::RLIMIT_NOFILE).map_or(1024, |(soft, _)| soft);
        Self::of_descriptors(descriptors)
    }
}

#[derive(Debug)]
pub struct Crowd {
    limits: Limits,
    members: Lock<Members>,
    left: Notify,
}

#[derive(Debug, Default)]
struct Members {
    next: u64,
    all: HashMap<u64, Member>,
}

#[derive(Debug)]
struct Member {
    network: IpAddr,
    activity: Arc<Activity>,
    leave: CancellationToken,
}

/// The place of one connection, freed when dropped.
#[derive(Debug)]
pub struct Place {
    crowd: Arc<Crowd>,
    number: u64,
    pub activity: Arc<Activity>,
    /// Cancelled when the connection has to close.
    pub leave: CancellationToken,
}

enum Entry {
    Place(Place),
    /// A connection is about to close.
    Soon,
    Full,
}

impl Crowd {
    pub fn new(limits: Limits) -> Arc<Self> {
        Arc::new(Self { limits, members: Lock::default(), left: Notify::new() })
    }

    /// A place for a connection from this address, which may replace another connection. `None` if every connection
    /// that could be replaced is busy.
    pub async fn enter(self: &Arc<Self>, address: IpAddr) -> Option<Place> {
        loop {
            let mut left = std::pin::pin!(self.left.notified());
            left.as_mut().enable();
            match self.try_enter(network_of(address)) {
                Entry::Place(place) => return Some(place),
                Entry::Soon => left.await,
                Entry::Full => return None,
            }
        }
    }

    fn try_enter(self: &Arc<Self>, network: IpAddr) -> Entry {
        let mut members = self.lock();
        let from_here = members.all.values().filter(|member| member.network == network).count();
        let scope = if from_here >= self.limits.per_address {
            Some(network)
        } else if members.all.len() >= self.limits.total {
            None
        } else {
            let number = members.next;
            members.next += 1;
            let (activity, leave) = (Arc::new(Activity::new()), CancellationToken::new());
            let member = Member { network, activity: Arc::clone(&activity), leave: leave.clone() };
            members.all.insert(number, member);
            return Entry::Place(Place { crowd: Arc::clone(self), number, activity, leave });
        };
        members.dismiss_one(scope)
    }

    fn lock(&self) -> MutexGuard<'_, Members> {
        self.members.lock()
    }
}

impl Members {
    /// Closes a connection of this network, or of any: idle before hesitating ones, then of the network that has the
    /// most, then the one that has been so the longest.
    fn dismiss_one(&self, scope: Option<IpAddr>) -> Entry {
        let in_scope = || self.all.values().filter(|member| scope.is_none_or(|network| member.network == network));
        if in_scope().any(|member| member.leave.is_cancelled()) {
            return Entry::Soon;
        }
        let mut sizes: HashMap<IpAddr, usize> = HashMap::new();
        in_scope().for_each(|member| *sizes.entry(member.network).or_default() += 1);
        let rank = |member: &Member| -> Option<(Standing, std::cmp::Reverse<usize>, Instant)> {
            let (standing, since) = member.activity.standing();
            let size = sizes.get(&member.network).copied().unwrap_or_default();
            (standing != Standing::Busy).then_some((standing, std::cmp::Reverse(size), since))
        };
        let chosen = in_scope().filter_map(|member| Some((rank(member)?, member))).min_by_key(|(rank, _)| *rank);
        match chosen {
            Some((_, member)) => {
                member.leave.cancel();
                Entry::Soon
            }
            None => Entry::Full,
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.crowd.lock().all.remove(&self.number);
        // More than one listener may be waiting.
        self.crowd.left.notify_waiters();
    }
}

/// The address that a client is counted under: the owner of an IPv6 address usually owns a whole /64 network.
fn network_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) if address.is_loopback() => address.into(),
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            std::net::Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const ADA: &str = "192.0.2.1";
    const BOB: &str = "192.0.2.2";

    fn crowd(total: usize, per_address: usize) -> Arc<Crowd> {
        Crowd::new(Limits { total, per_address })
    }

    async fn enter(crowd: &Arc<Crowd>, address: &str) -> Option<Place> {
        crowd.enter(address.parse().unwrap()).await
    }

    /// Enters while another connection closes to make room.
    async fn enter_in_place_of(crowd: &Arc<Crowd>, address: &str, place: &mut Option<Place>) -> Place {
        let (entered, ()) = tokio::join!(enter(crowd, address), async {
            place.as_ref().unwrap().leave.cancelled().await;
            place.take();
        });
        entered.unwrap()
    }

    #[test]
    fn half_of_the_descriptors_are_for_everything_else() {
        assert_eq!(Limits::of_descriptors(1024), Limits { total: 512, per_address: 256 });
        assert_eq!(Limits::of_descriptors(u64::MAX).total, Limits::MOST);
        assert_eq!(Limits::of_descriptors(0).total, Limits::FEWEST);
    }

    #[tokio::test]
    async fn a_new_connection_replaces_the_one_that_was_idle_the_longest() {
        let crowd = crowd(2, 2);
        let mut first = enter(&crowd, ADA).await;
        tokio::time::sleep(Duration::from_millis(5)).await;
        let second = enter(&crowd, ADA).await.unwrap();
        let _third = enter_in_place_of(&crowd, ADA, &mut first).await;
        assert!(!second.leave.is_cancelled());
    }

    #[tokio::test]
    async fn a_busy_connection_stays_and_a_new_one_is_refused() {
        let crowd = crowd(2, 2);
        let first = enter(&crowd, ADA).await.unwrap();
        let mut second = enter(&crowd, BOB).await;
        first.activity.head(None);
        second.as_ref().unwrap().activity.head(None);
        assert!(enter(&crowd, BOB).await.is_none());
        second.as_ref().unwrap().activity.answered();
        let third = enter_in_place_of(&crowd, BOB, &mut second).await;
        drop(third);
        assert!(enter(&crowd, ADA).await.is_some());
        assert!(!first.leave.is_cancelled());
    }

    #[tokio::test]
    async fn one_address_does_not_take_the_places_of_others() {
        let crowd = crowd(3, 2);
        let bob = enter(&crowd, BOB).await.unwrap();
        let mut first = enter(&crowd, ADA).await;
        tokio::time::sleep(Duration::from_millis(5)).await;
        let mut second = enter(&crowd, ADA).await;
        let _third = enter_in_place_of(&crowd, ADA, &mut first).await;
        // The total is reached: the network with the most connections loses one.
        let _fourth = enter_in_place_of(&crowd, BOB, &mut second).await;
        assert!(!bob.leave.is_cancelled());
    }

    #[test]
    fn a_network_of_64_bits_is_one_address() {
        let network = |text: &str| network_of(text.parse().unwrap());
        assert_eq!(network("2001:db8:1:2:3::4"), network("2001:db8:1:2:ffff::1"));
        assert_ne!(network("2001:db8:1:2::"), network("2001:db8:1:3::"));
        assert_eq!(network("::ffff:192.0.2.1"), network("192.0.2.1"));
        assert_ne!(network("::1"), network("::2"));
    }
}
